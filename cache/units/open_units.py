"""The units of a build that are not finished yet, whoever works on them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cache.format import Layout, Unit, finished_units
from common.writers import Claims

# As long as the caches of a network disk may say that a file which another machine has written is not there.
VISIBLE_SECONDS = 90.0


class OpenUnits:
    """What is left to do. `free` hands out what nobody else has, `look` takes out what others finished.

    advance: told of every row that another process computed.
    """

    def __init__(
        self, path: Path, layout: Layout, units: list[Unit], claims: Claims, advance: Callable[[int], None]
    ) -> None:
        self.path, self.layout, self.claims, self.advance = path, layout, claims, advance
        self.left = {unit.name: unit for unit in units}
        self._awaited: dict[str, float] = {}

    def free(self) -> Iterator[Unit]:
        """Units that are this process's from now on, in order. Ends where all others have owners; waits for nobody."""
        passed: list[Unit] = []
        for unit in list(self.left.values()):
            passed = [unit for unit in passed if unit.name in self.left]
            if self._not_yet_seen(unit) or not self.claims.take(unit.name):
                passed.append(unit)
                continue
            self._take_out({unit} | set(passed))
            if unit.name in self.left:
                yield unit

    def look(self) -> None:
        """Take out what is finished by now."""
        self._take_out(set(self.left.values()))

    def finish(self, unit: Unit) -> None:
        """A unit that this process took is written down."""
        self.claims.done(unit.name)
        self.left.pop(unit.name, None)

    def _take_out(self, units: set[Unit]) -> None:
        for unit in finished_units(self.path, self.layout, units):
            del self.left[unit.name]
            self.claims.done(unit.name)
            self.advance(unit.stop - unit.start)

    def _not_yet_seen(self, unit: Unit) -> bool:
        """Whether another machine has finished a unit of which this one sees nothing yet."""
        if not self.claims.done_elsewhere(unit.name):
            return False
        return time.monotonic() - self._awaited.setdefault(unit.name, time.monotonic()) < VISIBLE_SECONDS
