"""Nothing waits for a cold disk: rows and faces are read ahead, and the batches that come are announced to the disk.

The order of an epoch is known in advance. What fits into memory is read once, in the order of the disk (`train.warm`);
until that is done, and where it does not fit, the disk hears of every batch AHEAD batches before a worker does.
"""

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from common.config import Warm
from common.disk import Group, ReadAhead
from distill.batches import EpochOrder, FaceBatches, Wanted

AHEAD = 8  # batches, besides those that workers have been given


class ToldOrder:
    """An order of batches whose batches are told, some time before they are given out."""

    def __init__(self, order: EpochOrder, read_ahead: ReadAhead[Wanted]) -> None:
        self._order, self._read_ahead = order, read_ahead

    @property
    def rows(self) -> int:
        """Samples of a batch."""
        return self._order.rows

    def from_step(self, step: int) -> Iterator[Wanted]:
        """The batches of steps `step`, `step` + 1, ... to the end of the run."""
        coming: deque[Wanted] = deque()
        for wanted in self._order.from_step(step):
            self._read_ahead.tell(wanted)
            coming.append(wanted)
            if len(coming) > AHEAD:
                yield coming.popleft()
        yield from coming


@contextmanager
def reading_ahead(warm: Warm, batches: FaceBatches, order: EpochOrder) -> Iterator[ReadAhead[Wanted]]:
    """Reads ahead what `batches` makes the batches of `order` of, from the first that it is told to the end."""
    # Other systems neither say what is in memory nor take hints by position.
    groups = _groups(batches, order) if warm == "auto" and sys.platform == "linux" else []
    local, processes = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    read_ahead = ReadAhead(groups, local, processes)
    try:
        yield read_ahead
    finally:
        read_ahead.close()


def _groups(batches: FaceBatches, order: EpochOrder) -> list[Group[Wanted]]:
    source, cache, rows_of_rank = batches.source, batches.cache, batches.rows_of_rank
    faces = Group[Wanted](
        "faces", lambda: source.stretches(order.samples), lambda wanted: source.announce(wanted.samples[rows_of_rank])
    )
    if cache is None:
        return [faces]
    rows = Group[Wanted](
        "rows",
        lambda: cache.stretches(batches.confidence),
        lambda wanted: cache.announce(wanted.samples, wanted.views, batches.confidence),
    )
    return [rows, faces]
