"""Face images in the layout of HuggingFace's `datasets.save_to_disk`, read with pyarrow alone and memory-mapped.

A folder with `state.json`, which names the shards, and the shards: Arrow IPC *stream* files with the columns `image`
(struct of `bytes` and `path`, or plain binary) and `index` (int64). Rows come in any order; `index` says which row
of the protocol (`metadata.pt`) a picture is.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, Field

from common.documents import read_document
from common.errors import DataError


class DataFile(BaseModel):
    """One shard."""

    filename: str


class State(BaseModel):
    """state.json, as far as it is read."""

    data_files: list[DataFile] = Field(alias="_data_files")


class ArrowFaces(Sequence[bytes]):
    """Encoded pictures by protocol row: `faces[i]` is the picture whose `index` is i. Nothing is held in memory."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open and check every shard. Raises DataError naming the folder or shard and the reason: missing or
        truncated shards, missing columns, pictures that are not embedded, an `index` that is not 0 .. N-1."""
        self.folder = Path(folder)
        pictures: list[pa.Array] = []
        indices: list[np.ndarray] = []
        for shard in _shards(self.folder):
            for batch in _batches(shard):
                index, picture = _columns(batch, shard)
                indices.append(index)
                pictures.append(picture)
        self._pictures = pictures
        self._starts = np.cumsum([0] + [len(picture) for picture in pictures])
        order = np.concatenate([np.empty(0, np.int64), *indices])
        self._stored_at = np.empty(len(order), np.int64)
        inside = (order >= 0) & (order < len(order))
        if not inside.all():
            wrong = int(order[np.argmin(inside)])
            raise DataError(f"{self.folder}: index {wrong} among {len(order)} rows; rows are missing or not of one set")
        times = np.bincount(order, minlength=len(order))
        if (times != 1).any():
            raise DataError(
                f"{self.folder}: {int((times == 0).sum())} rows are missing, row {int(np.argmin(times))} first"
            )
        self._stored_at[order] = np.arange(len(order))

    def __len__(self) -> int:
        return len(self._stored_at)

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> list[bytes]: ...
    def __getitem__(self, row: int | slice) -> bytes | list[bytes]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        place = int(self._stored_at[row])
        chunk = int(np.searchsorted(self._starts, place, "right")) - 1
        picture: bytes = self._pictures[chunk][place - int(self._starts[chunk])].as_py()
        return picture


def _shards(folder: Path) -> list[Path]:
    remedy = "no data set saved with save_to_disk"
    state = read_document(folder / "state.json", State, DataError, remedy)
    names = [entry.filename for entry in state.data_files]
    for name in names:
        if Path(name).name != name or "\0" in name:
            raise DataError(f"{folder / 'state.json'}: {name[:80]!r} is no file name inside the folder")
    if not names:
        raise DataError(f"{folder}: state.json lists no data files")
    return [folder / name for name in names]


def _batches(shard: Path) -> list[pa.RecordBatch]:
    if not shard.is_file():
        raise DataError(f"{shard}: missing or damaged: not a regular file")
    try:
        batches = list(pa.ipc.open_stream(pa.memory_map(str(shard))))
        for batch in batches:
            # Offsets out of bounds would be read past the end of the map: a crash, not an exception.
            batch.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{shard}: missing or damaged: {reason}") from error
    return batches


def _columns(batch: pa.RecordBatch, shard: Path) -> tuple[np.ndarray, pa.Array]:
    for name in ("image", "index"):
        if batch.schema.get_field_index(name) < 0:
            raise DataError(
                f"{shard}: no column {name!r} (or more than one); it has {', '.join(batch.schema.names)[:200]}"
            )
    index, picture = batch.column("index"), batch.column("image")
    if not pa.types.is_integer(index.type) or index.null_count:
        raise DataError(f"{shard}: column 'index' is {index.type} with {index.null_count} nulls, expected integers")
    if pa.types.is_struct(picture.type):
        place = picture.type.get_field_index("bytes")
        if place < 0:
            raise DataError(f"{shard}: column 'image' has no field 'bytes'")
        picture = picture.flatten()[place]  # a null row becomes a null picture, caught below
    if not (pa.types.is_binary(picture.type) or pa.types.is_large_binary(picture.type)):
        raise DataError(f"{shard}: column 'image' holds {picture.type}, expected the bytes of a picture")
    if picture.null_count:
        raise DataError(
            f"{shard}: {picture.null_count} pictures are not embedded, only their paths; save the set again"
        )
    return index.to_numpy(zero_copy_only=False).astype(np.int64), picture
