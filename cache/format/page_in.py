"""Pages of a mapped file asked for together, so that a cold read waits for the disk once and not page by page.

Only one page fault after the other is slow: the disk could serve hundreds at once. But asking takes twice as long as
reading what is in memory, so a reader asks when its last read had to go to the disk, which the kernel counts for it.
"""

import ctypes
import ctypes.util
import mmap
import resource

import numpy as np

_WILLNEED = 3
_ME = resource.RUSAGE_THREAD if hasattr(resource, "RUSAGE_THREAD") else resource.RUSAGE_SELF

# PyDLL keeps the interpreter's lock: given away in each of hundreds of short calls, it would be waited for as often.
_libc = ctypes.PyDLL(ctypes.util.find_library("c"))
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def disk_reads() -> int:
    """A count that rises when this thread needs the disk: major page faults and the blocks it asked for."""
    used = resource.getrusage(_ME)
    return used.ru_majflt + used.ru_inblock


def ask_for(addresses: np.ndarray, size: int) -> None:
    """Start reading what is not in memory of `size` mapped bytes from each of `addresses`, int64 (B,), and return.

    A hint: what cannot be read ahead is left to the page fault, and to its errors.
    """
    for start, length in page_ranges(addresses, size).tolist():
        _libc.madvise(start, length, _WILLNEED)


def page_ranges(addresses: np.ndarray, size: int) -> np.ndarray:
    """The whole pages that hold `size` bytes from each address (B,), each once: int64 (n,2) of start and bytes."""
    first, last = addresses // mmap.PAGESIZE, (addresses + size - 1) // mmap.PAGESIZE
    steps = np.arange((size - 1) // mmap.PAGESIZE + 2)
    pages = np.unique(np.minimum(first[:, None] + steps, last[:, None]))
    starts = np.flatnonzero(np.diff(pages, prepend=-2) != 1)
    return np.stack([pages[starts], np.diff(starts, append=len(pages))], 1) * mmap.PAGESIZE
