"""Seconds of a phase, and the memory of the processes in it, their children included; from Linux's /proc."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

EVERY = 0.2  # seconds


class Meter:
    """with Meter() as meter: meter.watch(pid). Then `seconds`, `largest` (RSS of one), `together` (PSS of all): MiB."""

    def __init__(self) -> None:
        self.seconds = self.largest = self.together = 0.0
        self.killed = 0
        self._watched: list[int] = []
        self._over = threading.Event()

    def watch(self, process: int) -> None:
        self._watched.append(process)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._over.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._over.wait(EVERY):
            found = [memory for process in list(self._watched) for memory in _of_family(process)]
            self.largest = max([self.largest, *(rss for rss, _ in found)])
            self.together = max(self.together, sum(pss for _, pss in found))


def _of_family(process: int) -> list[tuple[float, float]]:
    """(RSS, PSS) in MiB of a process and all below it; nothing of those that ended."""
    found: list[tuple[float, float]] = []
    with suppress(OSError):
        fields = {}
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
            name, kilobytes, *_ = line.split()
            fields[name] = int(kilobytes) / 1024
        found.append((fields["Rss:"], fields["Pss:"]))
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            found += _of_family(int(child))
    return found
