"""All shards of one array as one window of memory, so that gathering random rows is a single NumPy indexing call.

Every shard file is mapped read-only, one behind the other, into one reserved range of addresses. A shard holds its
chunks in order, each followed by its CRC-32C, and a chunk holds whole rows (docs/cache-format.md), so the address of
a row is linear in (shard, chunk, row in chunk). All processes of a machine share one copy in the page cache. Reading
a row does not check its CRC: `python -m cache verify` does that.
"""

import ctypes
import ctypes.util
import mmap
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from cache.shards import CRC_BYTES, INDEX_ENTRY_BYTES, NO_CHUNK
from common.errors import CacheError

_MAP_NORESERVE = 0x4000 if os.uname().sysname == "Linux" else 0x40
_MAP_FIXED = 0x10
_MAP_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class RowWindow:
    """Rows of a sharded, uncompressed Zarr array; `take` copies the asked rows out."""

    def __init__(self, files: Sequence[Path], dtype: str, width: int | None, shard_rows: int, chunk_rows: int) -> None:
        """files: shard files in order; width: elements of a row, None where a row is one number.

        Raises CacheError for a file that is missing, truncated, or whose shard index is damaged.
        """
        self._dtype, self._width = np.dtype(dtype), width
        self._shard_rows, self._chunk_rows = shard_rows, chunk_rows
        row_bytes = (width or 1) * self._dtype.itemsize
        chunk_bytes, chunks = chunk_rows * row_bytes + CRC_BYTES, shard_rows // chunk_rows
        slot = -(-(chunks * (chunk_bytes + INDEX_ENTRY_BYTES) + CRC_BYTES) // mmap.PAGESIZE) * mmap.PAGESIZE
        base = _reserve(len(files) * slot)
        weakref.finalize(self, _libc.munmap, base, len(files) * slot)
        for number, file in enumerate(files):
            _map_shard(file, base + number * slot, chunks, chunk_bytes)
        rows: np.ndarray = np.ndarray(
            shape=(len(files), chunks, chunk_rows),
            dtype=np.dtype((np.void, row_bytes)),
            buffer=memoryview((ctypes.c_char * (len(files) * slot)).from_address(base)),
            strides=(slot, chunk_bytes, row_bytes),
        )
        rows.flags.writeable = False
        self._rows = rows

    def take(self, first_shard: np.ndarray | int, rows: np.ndarray) -> np.ndarray:
        """Copy of rows (B,), counted from shard `first_shard` (one or (B,)): (B, width), or (B,)."""
        shard, inner = np.divmod(rows, self._shard_rows)
        chunk, row = np.divmod(inner, self._chunk_rows)
        taken = self._rows[shard + first_shard, chunk, row].view(self._dtype)
        return taken if self._width is None else taken.reshape(len(rows), self._width)


def _reserve(size: int) -> int:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    base = _libc.mmap(None, size, 0, flags, -1, 0)
    if base == _MAP_FAILED:
        raise OSError(ctypes.get_errno(), f"cannot reserve {size:,} bytes of addresses for a teacher cache")
    return base


def _map_shard(file: Path, address: int, chunks: int, chunk_bytes: int) -> None:
    try:
        handle = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        raise CacheError(f"{file}: missing shard: mend it with `python -m cache repair`") from None
    try:
        size = os.fstat(handle).st_size
        _check_index(file, handle, size, chunks, chunk_bytes)
        if _libc.mmap(address, size, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, handle, 0) == _MAP_FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(file))
    finally:
        os.close(handle)


def _check_index(file: Path, handle: int, size: int, chunks: int, chunk_bytes: int) -> None:
    """The index at the end of the file must be intact and put chunk i at i * chunk_bytes.

    Chunks behind the last row of the array are not written; only they may be absent.
    """
    length = chunks * INDEX_ENTRY_BYTES + CRC_BYTES
    tail = os.pread(handle, length, max(size - length, 0))
    if len(tail) != length or int.from_bytes(tail[-CRC_BYTES:], "little") != google_crc32c.value(tail[:-CRC_BYTES]):
        raise CacheError(f"{file}: truncated or damaged shard: mend it with `python -m cache repair`")
    index = np.frombuffer(tail[:-CRC_BYTES], "<u8").reshape(chunks, 2)
    present = index[:, 0] != NO_CHUNK
    written = int(present.sum())
    regular = np.stack([np.arange(written) * chunk_bytes, np.full(written, chunk_bytes)], 1)
    if not present[:written].all() or not np.array_equal(index[:written], regular):
        raise CacheError(f"{file}: its chunks are not in order; this shard was not written by `python -m cache build`")
    if size != written * chunk_bytes + length:
        raise CacheError(
            f"{file}: {size} bytes instead of {written * chunk_bytes + length}: "
            "damaged shard, mend it with `python -m cache repair`"
        )
