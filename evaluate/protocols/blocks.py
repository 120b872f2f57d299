"""Independent blocks of array work on all processors."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Block = TypeVar("Block")


def over_blocks(work: Callable[[Block], None], blocks: Iterable[Block]) -> None:
    """Call `work` on every block, from as many threads as there are processors; the first error is raised.

    BLAS gets one thread in each. Its own threads wait for each other, spinning, inside every product: on a machine
    with other work that took three times as long, and twice the processor time, for IJB-C.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(work, blocks):
            pass
