"""Batches made ahead of the step, by processes that put pixels where the step takes them from.

with BatchLoader(faces, order, workers=4, device) as loader:
    for batch in loader.from_step(step):      # until the run's last step; epochs follow each other without a pause

A ring of batches lies in memory that all processes see (distill/batches/ring.py). A worker gets the number of a place
in it and makes a whole batch there, from encoded pictures to rows of the cache; nothing passes through a pipe but that
number. Why processes and no threads: docs/performance.md.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from multiprocessing.connection import wait
from types import TracebackType
from typing import Protocol, Self

import torch

from distill.batches.epochs import Wanted
from distill.batches.face_batches import FaceBatches, TrainingBatch
from distill.batches.ring import pinned, ring
from distill.batches.worker import Worker

BATCHES_A_WORKER = 2  # asked of each at a time: one in work, and one that it need not wait for
BATCHES_IN_USE = 2  # the step's, and that of a step before, which a GPU may still be fetching


class Order(Protocol):
    """Which batches a run is made of."""

    @property
    def rows(self) -> int:
        """Samples of a batch."""

    def from_step(self, step: int) -> Iterator[Wanted]:
        """The batches of steps `step`, `step` + 1, ... to the end of the run."""


class BatchLoader:
    """Makes the batches of an order. workers: processes that do it, 0 for none, then each is made when asked for."""

    def __init__(self, faces: FaceBatches, order: Order, workers: int, device: torch.device) -> None:
        self._faces, self._order, self._device = faces, order, device
        self._slots = ring(faces, order.rows, workers * BATCHES_A_WORKER + BATCHES_IN_USE) if workers else []
        self._workers: list[Worker] = []
        self._count, self._open = workers, ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self._count):
                self._workers.append(Worker(self._faces, self._slots, self._workers))
                stack.callback(self._workers[-1].end)
            stack.enter_context(pinned(self._slots, self._device))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def from_step(self, step: int) -> Iterator[TrainingBatch]:
        """The batches of steps `step`, `step` + 1, ... to the end of the run; to be asked for once.

        A batch is valid until the next one is asked for; work on a GPU that was begun on it is waited for. Raises the
        UserError that making it raises, and one for a worker that is gone.
        """
        wanted = self._order.from_step(step)
        if not self._workers:
            return map(self._faces.__getitem__, wanted)
        return self._from_workers(wanted)

    def _from_workers(self, wanted: Iterator[Wanted]) -> Iterator[TrainingBatch]:
        workers = cycle(self._workers)
        asked: deque[tuple[int, Worker]] = deque()
        free: deque[tuple[int, torch.cuda.Event | None]] = deque((slot, None) for slot in range(len(self._slots)))
        while True:
            while len(asked) < BATCHES_A_WORKER * len(self._workers) and _is_free(free, wait=not asked):
                following = next(wanted, None)
                if following is None:
                    break
                slot, worker = free.popleft()[0], next(workers)
                room = self._slots[slot].wanted.numpy()
                room[0], room[1] = following.samples, following.views
                worker.ask(slot, following.epoch)
                asked.append((slot, worker))
            if not asked:
                return
            slot, worker = asked.popleft()
            self._refuse_deaths(worker)
            worker.wait()
            yield self._slots[slot].batch
            free.append((slot, self._begun_work()))

    def _refuse_deaths(self, worker: Worker) -> None:
        """Wait until a worker has something to say. Raises UserError when any of them is gone."""
        ends = {each.process.sentinel: each for each in self._workers}
        for ready in wait([worker.pipe, *ends]):
            if ready in ends:
                raise ends[ready].death()

    def _begun_work(self) -> torch.cuda.Event | None:
        """What is done when a GPU has done everything it was given so far."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event


def _is_free(places: deque[tuple[int, torch.cuda.Event | None]], wait: bool) -> bool:
    """Whether the first place is there and nothing reads it any more. wait: until it is so."""
    if not places:
        return False
    used_until = places[0][1]
    if used_until is None:
        return True
    if wait:
        used_until.synchronize()
    return bool(used_until.query())
