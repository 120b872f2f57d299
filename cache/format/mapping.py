"""All shards of one array as one window of memory, so that gathering random rows is a single NumPy indexing call.

Every shard file is mapped read-only, one behind the other, into one reserved range of addresses. A shard holds its
chunks in order, each followed by its CRC-32C, and a chunk holds whole rows (docs/cache-format.md), so the address of
a row is linear in (shard, chunk, row in chunk). All processes of a machine share one copy in the page cache; what is
not there is asked for together (cache/format/page_in.py). Reading a row does not check its CRC: `python -m cache
verify` does that. A shard that is cut while it is read is named (cache/format/sigbus.py).
"""

import ctypes
import ctypes.util
import errno
import mmap
import os
import stat
import sys
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cache.format.layout import Layout
from cache.format.page_in import ask_for, disk_reads
from cache.format.shards import CRC_BYTES, MEND, refuse_other_shard, shard_bytes, shard_index
from cache.format.sigbus import watch
from common.errors import CacheError

_MAP_NORESERVE = 0x4000 if os.uname().sysname == "Linux" else 0x40
_MAP_FIXED = 0x10
_MAP_FAILED = ctypes.c_void_p(-1).value
_MAX_MAP_COUNT = Path("/proc/sys/vm/max_map_count")
# Left for what else a process maps: its libraries, the faces, PyTorch's pools (some 1,500 seen in training).
_OTHER_MAPS = 4096

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class RowWindow:
    """Rows of a sharded, uncompressed Zarr array; `take` copies the asked rows out."""

    def __init__(self, path: Path, layout: Layout, name: str) -> None:
        """Map the array `name` of the cache at `path`.

        Raises CacheError for a file that is missing or has another size or index than its rows ask for, and when the
        system maps no more files.
        """
        array, files = layout.arrays[name], [path / file for file in layout.shard_files(name)]
        self._dtype, self._width = np.dtype(array.dtype), array.width
        self._shard_rows, self._chunk_rows = layout.shard_rows, layout.chunk_rows
        row_bytes, chunks = array.row_bytes, layout.shard_rows // layout.chunk_rows
        chunk_bytes = layout.chunk_rows * row_bytes + CRC_BYTES
        whole = shard_bytes(layout.shard_rows, row_bytes, layout.shard_rows, layout.chunk_rows)
        slot = -(-whole // mmap.PAGESIZE) * mmap.PAGESIZE
        base = _reserve(len(files) * slot)
        weakref.finalize(self, _libc.munmap, base, len(files) * slot)
        shards = len(files) // (array.views or 1)
        self._files: list[tuple[Path, int]] = []
        for number, file in enumerate(files):
            size = _map_shard(file, base + number * slot, layout.rows_of(array, number % shards), row_bytes, layout)
            self._files.append((file.absolute(), size))
        rows: np.ndarray = np.ndarray(
            shape=(len(files), chunks, layout.chunk_rows),
            dtype=np.dtype((np.void, row_bytes)),
            buffer=memoryview((ctypes.c_char * (len(files) * slot)).from_address(base)),
            strides=(slot, chunk_bytes, row_bytes),
        )
        rows.flags.writeable = False
        self._rows, self._base = rows, base
        self._cold = True  # whether the last rows came from the disk; the first may

    def files(self) -> list[tuple[Path, int]]:
        """Every shard file and its size."""
        return self._files

    def take(self, first_shard: np.ndarray | int, rows: np.ndarray) -> np.ndarray:
        """Copy of rows (B,), counted from shard `first_shard` (one or (B,)): (B, width), or (B,)."""
        watch(self)
        place, before = self._place(first_shard, rows), disk_reads()
        if self._cold:
            self._ask_for(place)
        taken: np.ndarray = self._rows[place].view(self._dtype)
        self._cold = disk_reads() != before
        return taken if self._width is None else taken.reshape(len(rows), self._width)

    def announce(self, first_shard: np.ndarray | int, rows: np.ndarray) -> None:
        """Have the disk read what `take` will ask for; returns at once."""
        self._ask_for(self._place(first_shard, rows))

    def _place(self, first_shard: np.ndarray | int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shard, chunk and row in the chunk of rows (B,)."""
        shard, inner = np.divmod(rows, self._shard_rows)
        return (shard + first_shard, *np.divmod(inner, self._chunk_rows))

    def _ask_for(self, place: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        shard, chunk, row = (part * stride for part, stride in zip(place, self._rows.strides, strict=True))
        ask_for(self._base + shard + chunk + row, self._rows.itemsize)


def _reserve(size: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    base = _libc.mmap(None, size, 0, flags, -1, 0)
    if base == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), f"cannot reserve {size:,} bytes of addresses for a teacher cache")
    return int(base)


def _map_shard(file: Path, address: int, rows: int, row_bytes: int, layout: Layout) -> int:
    """Returns the file's size. Raises CacheError unless size and index are those of so many rows."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        reason = "missing shard" if error.errno == errno.ENOENT else error.strerror
        raise CacheError(f"{file}: {reason}: {MEND}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise CacheError(f"{file}: not a regular file: {MEND}")
        size = found.st_size
        wanted = shard_bytes(rows, row_bytes, layout.shard_rows, layout.chunk_rows)
        index = shard_index(rows, row_bytes, layout.shard_rows, layout.chunk_rows)
        refuse_other_shard(file, size, wanted, os.pread(handle, len(index), max(size - len(index), 0)), index)
        if _libc.mmap(address, size, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, handle, 0) == _MAP_FAILED:
            raise CacheError(
                f"{file}: cannot be mapped ({os.strerror(ctypes.get_errno())}): this system maps {map_limit():,} files "
                "for a process (sysctl vm.max_map_count): raise it, or build with a larger cache.shard_rows"
            )
    finally:
        os.close(handle)
    return size


def map_limit() -> int:
    """How many files a process may map on this system (vm.max_map_count of Linux; elsewhere there is no such bound)."""
    try:
        return int(_MAX_MAP_COUNT.read_text())
    except (OSError, ValueError):
        return sys.maxsize


def too_many_shards(*layouts: Layout) -> str | None:
    """Why a student could not map the caches of these layouts, with the cache.shard_rows to choose; None if it can."""
    room = map_limit() - _OTHER_MAPS
    if _maps_of_a_student(layouts) <= room:
        return None
    fitting = layouts
    while _maps_of_a_student(fitting) > room and any(layout.shards > 1 for layout in fitting):
        fitting = tuple(replace(layout, shard_rows=2 * layout.shard_rows) for layout in fitting)
    return (
        f"with cache.shard_rows = {layouts[0].shard_rows} a student maps {_maps_of_a_student(layouts):,} files, more "
        f"than this system allows a process ({map_limit():,}, vm.max_map_count): set cache.shard_rows = "
        f"{fitting[0].shard_rows}"
    )


def refuse_too_many_shards(path: Path, *layouts: Layout) -> None:
    """Raise CacheError for caches that no student could map together here."""
    reason = too_many_shards(*layouts)
    if reason is not None:
        raise CacheError(f"{path}: {reason}")


def _maps_of_a_student(layouts: Iterable[Layout]) -> int:
    """Embeddings, their scales in int8, confidences, and the pixels that train.verify compares; pictures in replay."""
    return sum(
        (4 if layout.dtype == "int8" else 3) * layout.views * layout.shards + layout.shards for layout in layouts
    )
