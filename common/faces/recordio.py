"""Read and write MXNet RecordIO files with InsightFace image headers, without mxnet.

    with RecordWriter("train.rec", "train.idx") as writer:
        writer.write(7, Record(0, 3.0, 7, 0, jpeg))
    Records("train.rec")[7].payload == jpeg

A `.rec` file is a chain of chunks, all little-endian: uint32 magic, uint32 `cflag << 29 | length`, `length` bytes,
zeros up to a multiple of 4. cflag 0 is a whole record. Where the magic itself stands at a multiple of 4 bytes into a
record, the writer drops it and cuts: cflag 1, 2, 3 are the first, a middle, the last chunk, and the reader puts the
magic back between them. An image record starts with 24 bytes: uint32 flag, float32 label, uint64 id, uint64 id2; with
flag > 0 that many float32 labels follow and replace the scalar one.

Source: dmlc-core `recordio.h` and MXNet 1.9.1 `recordio.py`, as documents of the format.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from common.disk import Stretch
from common.errors import DataError
from common.faces.random_access import RandomAccessFile
from common.faces.record_chunks import (
    CHUNK,
    FIRST,
    HEADER,
    LAST,
    LENGTH_BITS,
    MAGIC,
    MIDDLE,
    READ_AHEAD,
    WHOLE,
    NoRecord,
    payload_of_one_chunk,
    pieces,
    read_record,
)
from common.faces.recordio_index import RecordIndex, read_index


@dataclass(frozen=True, eq=False)
class Record:
    """An image record. `label` is a float, or float32 (flag,) when flag > 0.

    Records are equal when their packed bytes are. As in mxnet, the flag that is written follows from the label:
    0 for a number, else how many labels there are.
    """

    flag: int
    label: float | np.ndarray
    id: int
    id2: int
    payload: bytes

    def pack(self) -> bytes:
        """Header and payload as they stand in the file."""
        if np.ndim(self.label) == 0:
            return HEADER.pack(0, float(self.label), self.id, self.id2) + self.payload
        labels = np.asarray(self.label, "<f4")
        return HEADER.pack(labels.size, 0.0, self.id, self.id2) + labels.tobytes() + self.payload

    @classmethod
    def unpack(cls, raw: bytes) -> "Record":
        """Inverse of `pack`. Raises ValueError when `raw` is too short for the header it claims to have."""
        if len(raw) < HEADER.size:
            raise ValueError(f"{len(raw)} bytes, but an image header has {HEADER.size}")
        flag, scalar, identifier, id2 = HEADER.unpack_from(raw)
        if flag == 0:
            return cls(0, scalar, identifier, id2, raw[HEADER.size :])
        start = HEADER.size + 4 * flag
        if len(raw) < start:
            raise ValueError(f"{len(raw)} bytes, but its header announces {flag} labels ({start} bytes)")
        labels = np.frombuffer(raw, "<f4", flag, HEADER.size).copy()
        return cls(flag, labels, identifier, id2, raw[start:])

    def __eq__(self, other: object) -> bool:
        return self.pack() == other.pack() if isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.pack())


class Records:
    """Random access to a RecordIO file by key.

    Nothing keeps a position, so one object may be used by any number of threads and by forked workers. A pickle carries
    the two paths only; the other process opens and indexes for itself.

    `idx_path` is the `.idx` beside the `.rec` unless given. Where there is none the `.rec` is scanned from start to
    end, which reads a page of every record; `write_index` keeps the result. A scanned record's key is its header id
    where the ids are exactly 0..N-1 in some order (the InsightFace layout), else its position.

    Raises DataError for a missing or truncated `.rec`, and for an `.idx` that is malformed, points outside the
    `.rec`, gives one place to two keys, or ends before the `.rec` does. Where a record starts in the middle is seen
    when it is read.
    """

    def __init__(self, rec_path: str | os.PathLike[str], idx_path: str | os.PathLike[str] | None = None) -> None:
        self.path = Path(rec_path)
        self.idx_path = Path(idx_path) if idx_path is not None else self.path.with_suffix(".idx")
        self._file = RandomAccessFile(self.path)
        self._index = self._open_index() if self.idx_path.exists() else self._scan()

    def __reduce__(self) -> tuple[type["Records"], tuple[Path, Path]]:
        return Records, (self.path, self.idx_path)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def keys(self) -> RecordIndex:
        """The keys in the order of the index: a sequence of int, equal to a list of the same keys."""
        return self._index

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __iter__(self) -> Iterator[int]:
        return iter(self._index)

    def __getitem__(self, key: int) -> Record:
        """The image record of a key. Raises DataError naming path, key and offset for anything that is not one."""
        raw = self.raw(key)
        try:
            return Record.unpack(raw)
        except ValueError as error:
            raise DataError(f"{self.path}: record {key} is no image record: {error}") from error

    def payload(self, key: int) -> bytes:
        """`[key].payload`, and raises alike, in a third of the time for a record of one chunk."""
        found = payload_of_one_chunk(self._file, self._offset(key))
        return self[key].payload if found is None else found

    def raw(self, key: int) -> bytes:
        """The bytes of a record, image header included. Raises DataError as `[key]` does."""
        offset = self._offset(key)
        try:
            return b"".join(pieces(self._file, offset))
        except NoRecord as error:
            raise DataError(f"{self.path}: record {key} at offset {offset}: {error}; {self._advice()}") from None

    def _offset(self, key: int) -> int:
        try:
            return self._index.offset(key)
        except KeyError:
            raise DataError(f"{self.path}: no record has key {key} ({len(self)} keys in {self.idx_path})") from None

    def announce(self, keys: np.ndarray) -> None:
        """Have the disk read the records of keys (n,), which are there; returns at once."""
        for offset in self._index.offsets_of(keys).tolist():
            self._file.announce(offset, READ_AHEAD)

    def stretches(self, keys: np.ndarray) -> list[Stretch]:
        """Where the records of keys (n,), which are there, lie in the file: neighbours as one stretch."""
        spans = self._index.spans(keys, self._file.size)
        return [Stretch(self.path, start, end - start) for start, end in spans]

    def write_index(self) -> None:
        """Write `idx_path` from what was scanned, so that the next opening need not scan."""
        partial = self.idx_path.with_name(self.idx_path.name + ".partial")
        with partial.open("w", encoding="ascii") as file:
            file.writelines(f"{key}\t{offset}\n" for key, offset in zip(self._index, self._index.offsets, strict=True))
        partial.replace(self.idx_path)

    def _advice(self) -> str:
        if self.idx_path.exists():
            return f"the file is damaged or {self.idx_path} belongs to another one; copy both again"
        return "the file is damaged; copy it again"

    def _open_index(self) -> RecordIndex:
        index = read_index(self.idx_path)
        if len(index) == 0:
            if self._file.size:
                raise DataError(f"{self.idx_path} is empty, {self.path} is not; remove it to have it rebuilt")
            return index
        line = int(index.offsets.argmax())
        key, offset = index[line], int(index.offsets[line])
        try:
            _, end = read_record(self._file, offset)
        except NoRecord as error:
            raise DataError(
                f"{self.path}: its last record, key {key} at offset {offset} of {self.idx_path}: {error}; "
                f"{self._advice()}"
            ) from None
        if end < self._file.size:
            raise DataError(
                f"{self.idx_path}: its last record, key {key}, ends at byte {end} of {self.path}, which has "
                f"{self._file.size} bytes; the index is cut off: copy it again, or remove it to have it rebuilt"
            )
        return index

    def _scan(self) -> RecordIndex:
        offsets: list[int] = []
        ids: list[int] = []
        offset = 0
        while offset < self._file.size:
            try:
                raw, after = read_record(self._file, offset)
            except NoRecord as error:
                raise DataError(
                    f"{self.path}: record {len(offsets)} in file order, at offset {offset}: {error}; copy it again"
                ) from None
            offsets.append(offset)
            ids.append(HEADER.unpack_from(raw)[2] if len(raw) >= HEADER.size else -1)
            offset = after
        positions = range(len(offsets))
        keys = ids if sorted(ids) == list(positions) else positions
        return RecordIndex(np.array(keys, np.int64), np.array(offsets, np.int64), self.path)


class RecordWriter:
    """Writes a `.rec` and its `.idx`, byte for byte as mxnet 1.9.1 does.

    Both are written beside their final names and renamed by `close`; leaving the `with` block by an exception
    removes them, so that a file under its final name is always whole.
    """

    def __init__(self, rec_path: str | os.PathLike[str], idx_path: str | os.PathLike[str]) -> None:
        self._paths = Path(rec_path), Path(idx_path)
        self._partial = [path.with_name(path.name + ".partial") for path in self._paths]
        self._rec = self._partial[0].open("wb")
        self._idx = self._partial[1].open("w", encoding="ascii", newline="\n")

    def write(self, key: int, record: Record) -> None:
        """Append an image record under `key`, a whole number that was not used before."""
        self.write_raw(key, record.pack())

    def write_raw(self, key: int, raw: bytes) -> None:
        """Append bare bytes under `key`. Raises ValueError for a negative key and for 512 MiB or more."""
        if key < 0 or len(raw) >= 1 << LENGTH_BITS:
            raise ValueError(f"record {key}: {len(raw)} bytes; a key is not negative, a record under 512 MiB")
        self._idx.write(f"{int(key)}\t{self._rec.tell()}\n")
        cuts = _magic_positions(raw)
        starts = [0, *(cut + len(MAGIC) for cut in cuts)]
        for number, (start, stop) in enumerate(zip(starts, [*cuts, len(raw)], strict=True)):
            cflag = WHOLE if not cuts else FIRST if number == 0 else LAST if number == len(cuts) else MIDDLE
            length = stop - start
            self._rec.write(CHUNK.pack(MAGIC, cflag << LENGTH_BITS | length))
            self._rec.write(raw[start:stop])
            self._rec.write(bytes(-length % 4))

    def close(self) -> None:
        """Finish both files and give them their final names."""
        if self._rec.closed:
            return
        self._rec.close()
        self._idx.close()
        for partial, path in zip(self._partial, self._paths, strict=True):
            partial.replace(path)

    def discard(self) -> None:
        """Remove what was written."""
        self._rec.close()
        self._idx.close()
        for partial in self._partial:
            partial.unlink(missing_ok=True)

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _magic_positions(raw: bytes) -> list[int]:
    """Where the magic stands in `raw` at a multiple of 4."""
    return [found.start() for found in re.finditer(re.escape(MAGIC), raw) if found.start() % 4 == 0]
