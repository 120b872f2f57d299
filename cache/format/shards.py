"""Shard files, as Zarr's `sharding_indexed` codec lays them out: chunks in order, a CRC-32C behind each, the index.

Written here and not by Zarr, whose writer leaves out chunks that hold nothing but fill values: one such chunk, of
pictures that were skipped, and the rows behind it would no longer lie where a memory map looks for them.
`tests/cache/format/test_shards.py` holds the bytes to Zarr's own.
"""

import errno
import os
import secrets
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
MEND = "mend it with `python -m cache repair`"
DISK_IS_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def write_shard(file: Path, rows: np.ndarray, fill: float, shard_rows: int, chunk_rows: int) -> None:
    """Write rows (n,...) of the array's own dtype as one shard file; it takes its name when all bytes are written.

    n is at most shard_rows. The last chunk is filled up with `fill`, chunks behind it are absent. Raises CacheError
    when the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another name for every writer: one that was thought dead may still be at it. Sealing drops what they leave.
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.writing")
    with naming_a_full_disk(file):
        try:
            with open(temporary, "wb") as out:
                for chunk in _chunks(rows, fill, chunk_rows):
                    out.write(chunk)
                    out.write(_crc(chunk))
                row_bytes = int(np.prod(rows.shape[1:])) * rows.dtype.itemsize
                out.write(shard_index(len(rows), row_bytes, shard_rows, chunk_rows))
            os.replace(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)


def parse_shard(
    content: bytes, file: Path, dtype: str, width: int | None, rows: int, shard_rows: int, chunk_rows: int
) -> np.ndarray:
    """The rows a shard file's bytes hold, (rows, width) or (rows,), when every checksum agrees; file: its name.

    Raises CacheError for another size, another index, or a chunk that is not what was written.
    """
    row_bytes = (width or 1) * np.dtype(dtype).itemsize
    index = shard_index(rows, row_bytes, shard_rows, chunk_rows)
    chunk_bytes = chunk_rows * row_bytes + CRC_BYTES
    wanted = -(-rows // chunk_rows) * chunk_bytes + len(index)
    refuse_other_shard(file, len(content), wanted, content[-len(index) :], index)
    chunks = np.frombuffer(content, np.uint8, wanted - len(index)).reshape(-1, chunk_bytes)
    for number, chunk in enumerate(chunks):
        if _crc(chunk[:-CRC_BYTES].tobytes()) != chunk[-CRC_BYTES:].tobytes():
            raise CacheError(f"{file}: chunk {number} changed after it was written: {MEND}")
    values = chunks[:, :-CRC_BYTES].copy().view(np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False)
    return values.reshape(-1, *([width] if width else []))[:rows]


def shard_index(rows: int, row_bytes: int, shard_rows: int, chunk_rows: int) -> bytes:
    """What a shard file of so many rows ends in: offset and length of every chunk, and their CRC-32C.

    It follows from the sizes alone, so a reader compares it whole.
    """
    written, chunk_bytes = -(-rows // chunk_rows), chunk_rows * row_bytes + CRC_BYTES
    index = np.full((shard_rows // chunk_rows, 2), NO_CHUNK, "<u8")
    index[:written, 0], index[:written, 1] = np.arange(written) * chunk_bytes, chunk_bytes
    return index.tobytes() + _crc(index.tobytes())


def refuse_other_shard(file: Path, size: int, wanted: int, index: bytes, wanted_index: bytes) -> None:
    """Raise CacheError unless a shard file has the bytes and the index its rows ask for."""
    if size != wanted:
        raise CacheError(f"{file}: {size} bytes, {wanted} were written: {MEND}")
    if index != wanted_index:
        raise CacheError(f"{file}: its index is not the one that was written: {MEND}")


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
    return int(google_crc32c.value(data)).to_bytes(CRC_BYTES, "little")
