"""Shard files, as Zarr's `sharding_indexed` codec lays them out: chunks in order, a CRC-32C behind each, the index.

Written here and not by Zarr, whose writer leaves out chunks that hold nothing but fill values: one such chunk, of
pictures that were skipped, and the rows behind it would no longer lie where a memory map looks for them.
`tests/cache/test_shards.py` holds the bytes to Zarr's own.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import google_crc32c
import numpy as np

from common.errors import CacheError

CRC_BYTES = 4
INDEX_ENTRY_BYTES = 16  # offset and length of a chunk, both uint64
NO_CHUNK = 2**64 - 1
DISK_IS_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def write_shard(file: Path, rows: np.ndarray, fill: float, shard_rows: int, chunk_rows: int) -> None:
    """Write rows (n,...) of the array's own dtype as one shard file; it takes its name when all bytes are written.

    n is at most shard_rows. The last chunk is filled up with `fill`, chunks behind it are absent. Raises CacheError
    when the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # One name for one shard: what a killed writer left is overwritten by the next.
    temporary = file.with_name(f".{file.name}.writing")
    with naming_a_full_disk(file):
        try:
            with open(temporary, "wb") as out:
                offset, index = 0, np.full((shard_rows // chunk_rows, 2), NO_CHUNK, "<u8")
                for number, chunk in enumerate(_chunks(rows, fill, chunk_rows)):
                    out.write(chunk)
                    out.write(_crc(chunk))
                    index[number] = offset, len(chunk) + CRC_BYTES
                    offset += len(chunk) + CRC_BYTES
                out.write(index.tobytes() + _crc(index.tobytes()))
            os.replace(temporary, file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def shard_bytes(rows: int, row_bytes: int, shard_rows: int, chunk_rows: int) -> int:
    """Bytes of all shard files of an array of so many rows."""
    chunks, shards = -(-rows // chunk_rows), -(-rows // shard_rows)
    index = shard_rows // chunk_rows * INDEX_ENTRY_BYTES + CRC_BYTES
    return chunks * (chunk_rows * row_bytes + CRC_BYTES) + shards * index


@contextmanager
def naming_a_full_disk(path: Path) -> Iterator[None]:
    """Turn a write that failed for want of room into a CacheError with the path and what is left."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_IS_FULL:
            raise
        folder = next(folder for folder in (path, *path.parents) if folder.exists())
        raise CacheError(
            f"{path}: cannot be written ({error.strerror}), {shutil.disk_usage(folder).free:,} bytes are free on that "
            "disk: make room and run the same command again, it goes on with the first unfinished unit"
        ) from error


def _chunks(rows: np.ndarray, fill: float, chunk_rows: int) -> Iterator[bytes]:
    rows = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
    for start in range(0, len(rows), chunk_rows):
        chunk = rows[start : start + chunk_rows]
        absent = chunk_rows - len(chunk)
        if absent:
            chunk = np.concatenate([chunk, np.full((absent, *chunk.shape[1:]), fill, chunk.dtype)])
        yield chunk.tobytes()


def _crc(data: bytes) -> bytes:
    return google_crc32c.value(data).to_bytes(CRC_BYTES, "little")
