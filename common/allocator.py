"""glibc keeps the memory that tensors free, instead of returning it to the kernel.

Left alone it maps every large buffer anew and unmaps it when it is freed, so that each operation on the CPU faults its
pages in, zeroed, once more: 280,000 of them in a step of MobileFaceNet over 64 faces (docs/performance.md).
"""

import ctypes
import os
import sys

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
# What a user may have set to the same end, or against it.
USERS_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """From now on, in this process and in those forked from it; returns whether glibc agreed.

    Nothing is done without glibc, or where the environment has settings of the user's own. No buffer is mapped at all
    (M_MMAP_MAX): a higher M_MMAP_THRESHOLD, which does the same, ends at 2 GiB, and glibc before 2.35 refuses more
    than 32 MiB.
    """
    if any(name in os.environ for name in USERS_OWN) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl's mallopt is one by name only
        return False
    return bool(library.mallopt(M_MMAP_MAX, 0)) and bool(library.mallopt(M_TRIM_THRESHOLD, -1))
