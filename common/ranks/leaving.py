"""How a rank ends that fails while others count on it: at once, without the farewells in which it would wait for them.

The interpreter's own end takes a process group apart, and joins threads and workers; a rank that failed alone would
hang there until a time-out, and its launcher, which ends the other ranks as soon as one is gone, would never learn.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Around a whole command, outside of what prints its errors: how it ends while this process is in a group."""
    try:
        yield
    except SystemExit as ended:
        if not _in_a_group():
            raise
        leave(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        if not _in_a_group():
            raise
        sys.excepthook(*sys.exc_info())
        leave(1)


def _in_a_group() -> bool:
    """Without importing torch: a process that has not cannot be in one."""
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and distributed.is_initialized()


def leave(status: int) -> NoReturn:
    """End this process and its workers; what was said is written out first."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for worker in multiprocessing.active_children():
            worker.kill()
    os._exit(status)
