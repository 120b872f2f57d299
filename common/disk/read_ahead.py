"""Files read ahead in the background: whole, from start to end, where memory has room for them, else what is announced.

Reading in the order of the disk is as fast as the disk; random reads, one after the other, are a hundredth of that. So
where everything fits into the page cache it is read once, in order, while the first steps go on; and what the next
steps will ask for is announced to the disk as long as it may not be there yet.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from common.disk.memory import available_bytes
from common.disk.stretches import Stretch, in_memory, pieces
from common.errors import UserError

PIECE = 32 << 20  # bytes asked of the disk at once: enough that a network's delays do not count
SHARE_OF_MEMORY = 0.8  # the rest is left for what programs will allocate yet
SECONDS_IN_SILENCE = 5.0  # before a line says that reading goes on
SECONDS_TO_END = 5.0
_NEWEST = 64  # announcements kept, should the disk take longer for them than the steps

_Coming = TypeVar("_Coming")


@dataclass(frozen=True)
class Group(Generic[_Coming]):
    """Files that are read ahead all or not at all.

    stretches: where their bytes are. announce: tell the disk of the part that is coming. Both may raise OSError or
    UserError, which ends their reading ahead: to say what is wrong is left to whoever needs the bytes.
    """

    name: str
    stretches: Callable[[], Sequence[Stretch]]
    announce: Callable[[_Coming], None]


class ReadAhead(Generic[_Coming]):
    """A thread that reads `groups` ahead, the first ones first, from the first `tell` until `close`.

    A group that is in the page cache already is left alone. part, parts: which of the processes of this machine this
    is, of how many that read the same files; each reads its part.
    """

    def __init__(self, groups: Sequence[Group[_Coming]], part: int = 0, parts: int = 1) -> None:
        self._groups, self._part, self._parts = list(groups), part, parts
        self._coming: deque[_Coming] = deque(maxlen=_NEWEST)
        self._news: deque[str] = deque()
        self._woken = threading.Event()
        self._ended = not self._groups
        self._thread: threading.Thread | None = None

    def tell(self, coming: _Coming) -> None:
        """This is asked for soon. Costs nothing: what is to be done about it is done in the thread."""
        if self._ended:
            return
        self._coming.append(coming)
        self._woken.set()
        if self._thread is None:  # not before: loader workers are forked from a process without it
            self._thread = threading.Thread(target=self._work, name="read ahead", daemon=True)
            self._thread.start()

    def news(self) -> Iterator[str]:
        """Lines, each once: how far reading ahead is, should it take long, and that it is done."""
        while self._news:
            yield self._news.popleft()

    def close(self) -> None:
        """End it. Returns when nothing is read any more, or after SECONDS_TO_END where a disk does not answer."""
        self._ended = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(SECONDS_TO_END)

    def _work(self) -> None:
        cold, whole, stretches = self._plan()
        share = islice(pieces(stretches, PIECE), self._part, None, self._parts)
        pace = _Pace(" and ".join(group.name for group in whole), sum(stretch.size for stretch in stretches))
        buffer = memoryview(bytearray(min(PIECE, pace.total)))
        while cold and not self._ended:
            self._announce(cold)
            piece = next(share, None)
            if piece is not None:
                _read(piece, buffer)
                self._news += pace.going(piece.size * self._parts)
            elif whole:
                self._news.append(pace.done())
                cold, whole = [group for group in cold if group not in whole], []
            else:
                self._woken.wait()
                self._woken.clear()
        self._ended = True

    def _plan(self) -> tuple[list[Group[_Coming]], list[Group[_Coming]], list[Stretch]]:
        """The groups that are not in memory, those of them that are read whole, and the stretches of these."""
        room = SHARE_OF_MEMORY * available_bytes()
        cold: list[Group[_Coming]] = []
        whole: list[Group[_Coming]] = []
        to_read: list[Stretch] = []
        for group in self._groups:
            try:
                stretches = group.stretches()
            except (OSError, UserError):
                continue
            size = sum(stretch.size for stretch in stretches)
            fits = size <= room
            room -= size if fits else 0
            if in_memory(stretches):
                continue
            cold.append(group)
            if fits:
                whole.append(group)
                to_read += stretches
        return cold, whole, to_read

    def _announce(self, cold: list[Group[_Coming]]) -> None:
        while self._coming and not self._ended:
            coming = self._coming.popleft()
            for group in tuple(cold):
                try:
                    group.announce(coming)
                except (OSError, UserError):
                    cold.remove(group)


class _Pace:
    """How fast `total` bytes are read."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self.total, self._read = what, total, 0
        self._began, self._told = time.monotonic(), False

    def going(self, size: int) -> list[str]:
        """`size` bytes more are there: once, after SECONDS_IN_SILENCE, a line."""
        self._read = min(self._read + size, self.total)
        seconds = time.monotonic() - self._began
        if self._told or seconds < SECONDS_IN_SILENCE or self._read == self.total:
            return []
        self._told = True
        left = seconds / self._read * (self.total - self._read)
        return [f"reading {self._what} ahead: {_size(self._read)} of {_size(self.total)}, {left:,.0f} s left"]

    def done(self) -> str:
        seconds = time.monotonic() - self._began
        return (
            f"{self._what} read ahead into memory: {_size(self.total)} in {seconds:,.1f} s "
            f"({_size(self.total / seconds)}/s)"
        )


def _size(size: float) -> str:
    return f"{size / (1 << 30):,.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):,.1f} MiB"


def _read(piece: Stretch, buffer: memoryview) -> None:
    try:
        handle = os.open(piece.file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.posix_fadvise(handle, piece.start, piece.size, os.POSIX_FADV_WILLNEED)
        os.preadv(handle, [buffer[: piece.size]], piece.start)
    except OSError:
        return  # the reader of these bytes says what is wrong with them
    finally:
        os.close(handle)
