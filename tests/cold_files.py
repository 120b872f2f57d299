"""Files that are on the disk and not in memory."""

import ctypes
import ctypes.util
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

_libc = ctypes.CDLL(ctypes.util.find_library("c"))
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


def drop(*paths: Path) -> None:
    """Take files, and all files of folders, out of the page cache; skips the test where the file system cannot.

    Nobody may have them mapped.
    """
    files = [file for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.fdatasync(handle)  # what is not on the disk yet stays; the tests' os.fsync does not wait (conftest.py)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
    if any(resident(file, file.stat().st_size - 1) for file in files):
        pytest.skip("this file system keeps its files in memory")


def resident(file: Path, offset: int) -> bool:
    """Whether the page cache has the page of this byte; looking brings nothing in."""
    page = np.memmap(file, np.uint8, "r", offset - offset % mmap.PAGESIZE, (1,))
    found = ctypes.c_ubyte()
    assert _libc.mincore(page.ctypes.data, 1, ctypes.byref(found)) == 0
    return bool(found.value & 1)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()
