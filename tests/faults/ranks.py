"""A command on several ranks, or in several processes without a group, one of which has something broken in it.

No launcher looks after them: what is left of a group has to end by itself.
"""

import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from common.failures import SAID
from tests.faults.world import Outcome, run

Break = Callable[[pytest.MonkeyPatch], None]
WHOLE: Mapping[int, Break] = {}


@dataclass(frozen=True)
class Ended:
    """How each of them ended, and how long the last one took."""

    outcomes: list[Outcome]
    seconds: float

    @property
    def codes(self) -> list[int | None]:
        return [outcome.code for outcome in self.outcomes]

    @property
    def printed(self) -> str:
        return "".join(outcome.printed for outcome in self.outcomes)

    def error(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.printed.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, self.printed
        return lines[0]


def on_ranks(folder: Path, command: str, ranks: int, broken: Mapping[int, Break] = WHOLE) -> Ended:
    """Ranks of one gloo group, as torchrun starts them; broken: what is called first in some of them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as attempt:
        group = {"WORLD_SIZE": f"{ranks}", "MASTER_ADDR": "localhost", "MASTER_PORT": f"{port}"}
        return _all_of(folder, command, ranks, broken, {**group, "TORCHELASTIC_ERROR_FILE": f"{attempt}/N/e"})


def in_processes(folder: Path, command: str, count: int, broken: Mapping[int, Break] = WHOLE) -> Ended:
    """The same as common/processes.py starts them."""
    with tempfile.TemporaryDirectory() as said:
        return _all_of(folder, command, count, broken, {SAID: said})


def _all_of(folder: Path, command: str, count: int, broken: Mapping[int, Break], environment: dict[str, str]) -> Ended:
    ended: dict[int, Outcome] = {}

    def one(number: int) -> None:
        def before() -> None:
            numbers = {"RANK": f"{number}", "LOCAL_RANK": f"{number}", "LOCAL_WORLD_SIZE": f"{count}"}
            os.environ |= {**environment, **numbers}
            if number in broken:
                broken[number](pytest.MonkeyPatch())  # for the rest of this process

        ended[number] = run(folder, command, before=before)

    # No pool: its threads, of which a forked process is one, would be waited for where that process ends.
    threads = [Thread(target=one, args=(number,)) for number in range(count)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Ended([ended[number] for number in range(count)], time.monotonic() - began)
