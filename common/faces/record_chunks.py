"""The chunks that a RecordIO file is a chain of, read at an offset (the format: common/faces/recordio.py)."""

import struct
from collections.abc import Iterator

from common.faces.random_access import RandomAccessFile

MAGIC = struct.pack("<I", 0xCED7230A)
CHUNK = struct.Struct("<4sI")
CHUNK_AND_FLAG = struct.Struct("<4sII")  # with the first field of the image header
HEADER = struct.Struct("<IfQQ")
LENGTH_BITS = 29
WHOLE, FIRST, MIDDLE, LAST = range(4)
READ_AHEAD = 8 << 10  # bytes: most aligned faces in one read


class NoRecord(Exception):
    """No record stands at an offset, and why."""


def read_record(file: RandomAccessFile, offset: int) -> tuple[bytes, int]:
    """A record's bytes and the offset after it."""
    found = list(pieces(file, offset))
    padded = sum(CHUNK.size + len(piece) + -len(piece) % 4 for piece in found[::2])
    return b"".join(found), offset + padded


def pieces(file: RandomAccessFile, offset: int) -> Iterator[bytes]:
    """The chunks of the record at `offset`, with the magic between them. Raises NoRecord saying what is wrong."""
    expected = (WHOLE, FIRST)
    while True:
        if offset + CHUNK.size > file.size:
            raise NoRecord(f"the file ends at byte {file.size}, before the record does (truncated?)")
        ahead = file.read(offset, READ_AHEAD)
        magic, word = CHUNK.unpack_from(ahead)
        if magic != MAGIC:
            raise NoRecord(f"no record starts at byte {offset}")
        cflag, length = word >> LENGTH_BITS, word & (1 << LENGTH_BITS) - 1
        if cflag not in expected:
            raise NoRecord(f"the chunk at byte {offset} has cflag {cflag}, expected one of {expected}")
        start = offset + CHUNK.size
        if start + length + -length % 4 > file.size:
            raise NoRecord(f"the file ends at byte {file.size}, before the record does (truncated?)")
        piece = ahead[CHUNK.size : CHUNK.size + length]
        yield piece if len(piece) == length else piece + file.read(start + len(piece), length - len(piece))
        if cflag in (WHOLE, LAST):
            return
        yield MAGIC
        offset = start + length + -length % 4
        expected = (MIDDLE, LAST)


def payload_of_one_chunk(file: RandomAccessFile, offset: int) -> bytes | None:
    """The picture of the image record at `offset`; None for a record of several chunks, or for none."""
    ahead = file.read(offset, READ_AHEAD)
    if len(ahead) < CHUNK.size + HEADER.size:
        return None
    magic, word, flag = CHUNK_AND_FLAG.unpack_from(ahead)
    # The word of a whole record is its length; the bits that others have make it longer than any.
    start, end = CHUNK.size + HEADER.size + 4 * flag, CHUNK.size + word
    if magic != MAGIC or word >= 1 << LENGTH_BITS or start > min(end, len(ahead)):
        return None
    if offset + end + -word % 4 > file.size:
        return None
    return ahead[start:end] if end <= len(ahead) else ahead[start:] + file.read(offset + len(ahead), end - len(ahead))
