"""A rank that fails tells the others, whatever they do: wait for it on a card, evaluate, write a checkpoint.

gloo notices a rank that is gone, and a launcher ends those of its own machine. But NCCL may wait its time out, and on
other machines nobody would know. So every rank looks for a note in the group's store, once a second.
"""

import os
import socket
from contextlib import suppress
from threading import Event, Thread
from typing import Protocol

import click

from common.errors import RankGone
from common.failures import INTERRUPTED, first_to_fail, line_of
from common.ranks.leaving import leave
from common.text import printable

EVERY_SECONDS = 1.0


class Store(Protocol):
    """Of torch.distributed's stores, what is used here; they raise RuntimeError when nobody answers."""

    def set(self, key: str, value: str) -> None: ...
    def get(self, key: str) -> bytes: ...
    def check(self, keys: list[str]) -> bool: ...


class Alarm:
    """Watches from a thread of its own until it is `off`, and ends this process when another rank has failed."""

    def __init__(self, store: Store, rank: int) -> None:
        """store: a connection of its own; the group's would be waited for while a collective begins."""
        self._store, self._rank, self._off = store, rank, Event()
        # A launcher that starts failed ranks again may keep the store.
        self._key = f"failed-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._thread = Thread(target=self._watch, name="alarm", daemon=True)
        self._thread.start()

    def give(self, error: BaseException) -> None:
        """This rank fails. Ctrl-C is no failure, but ends all ranks alike."""
        self.off()
        line = (line_of(error) if isinstance(error, Exception) else None) or f"{type(error).__name__}: {error}"
        note = "" if isinstance(error, KeyboardInterrupt) else f"rank {self._rank} on {socket.gethostname()}: {line}"
        with suppress(RuntimeError):  # the store may be gone before us
            if not self._store.check([self._key]):
                self._store.set(self._key, note)

    def off(self) -> None:
        """Look no more. All ranks have to, before the one that holds the store ends."""
        self._off.set()
        self._thread.join(3 * EVERY_SECONDS)  # it may wait for a store that hangs; off it is all the same

    def _watch(self) -> None:
        while not self._off.wait(EVERY_SECONDS):
            try:
                note = self._store.get(self._key).decode() if self._store.check([self._key]) else None
            except RuntimeError:
                note = "the one that holds the group's store"
            if note is not None and not self._off.is_set():
                _end(note)


def _end(note: str) -> None:
    if not note:
        leave(INTERRUPTED)
    gone = RankGone(f"another rank is gone ({note}): look for its message, then run again")
    if first_to_fail(gone):
        click.echo(f"Error: {printable(str(gone))}", err=True)
    leave(2)
