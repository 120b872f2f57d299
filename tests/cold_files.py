"""Files that are on the disk and not in memory."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest


def drop(*paths: Path) -> None:
    """Take files, and all files of folders, out of the page cache; skips the test where the file system cannot.

    Nobody may have them mapped.
    """
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    if any(resident(file, file.stat().st_size - 1) for file in files):
        pytest.skip("this file system keeps its files in memory")


def resident(file: Path, offset: int) -> bool:
    """Whether reading this byte would not wait for a disk."""
    with open(file, "rb", buffering=0) as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(1)], offset, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()
