"""`metadata.pt`: the protocol arrays beside an IJB or TinyFace image set, read without running the pickle inside.

`torch.save` of a dictionary of arrays, lists or tensors. `torch.load(weights_only=True)` refuses the numpy ones, and
lifting that for numpy's callables would run them on whatever the file holds, so the file is taken apart here: a zip
of stored members with `data.pkl` and one member a tensor (torch 1.6, of 2020, and later).
"""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.foreign import refuse_foreign
from evaluate.files.pickled import Call, Global, Persistent, PickleMachine
from evaluate.files.pickled_arrays import ARRAY_GLOBALS, ArrayInterpreter

MAX_BYTES = 4 << 30
_STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
_REBUILD = "torch._utils._rebuild_tensor_v2"
_ALLOWED = ARRAY_GLOBALS | _STORAGES.keys() | {_REBUILD, "collections.OrderedDict"}


def read_metadata(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The dictionary as 1-D arrays by name: int64, float64 (float32 where the file says so), bool or text (object).

    Raises DataError naming the path and the reason if the file is missing, damaged, of another kind, or asks to call
    anything that numpy and torch do not need for plain arrays.
    """
    path = Path(path)
    data = read_regular(path, DataError, "an IJB or TinyFace set needs its protocol", MAX_BYTES)
    refuse_foreign(data, str(path), "metadata.pt", allowed=(b"PK",))
    if not data.startswith(b"PK"):
        raise DataError(f"{path}: not written by torch.save, or by torch before 1.6: save it again with a newer one")
    archive = _Archive(data, str(path))
    content = PickleMachine(archive.member("data.pkl"), _ALLOWED, str(path)).run()
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DataError(f"{path}: holds no dictionary of named arrays")
    columns = _Columns(str(path), archive)
    return {key: columns.column(key, node) for key, node in content.items()}


class _Archive:
    """The zip inside a torch file. Only stored members are read, so none is longer than the file itself."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        try:
            self.zip = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:
            # zipfile meets a hostile directory with half a dozen kinds of error; all mean the same here.
            raise DataError(f"{where}: a damaged torch file: {error}") from error
        self.members = {info.filename.partition("/")[2]: info for info in self.zip.infolist()}
        if "byteorder" in self.members and self.member("byteorder") != b"little":
            raise DataError(f"{where}: written by a big-endian machine")

    def member(self, name: str) -> bytes:
        info = self.members.get(name)
        if info is None:
            raise DataError(f"{self.where}: no torch file, or a damaged one: {name[:60]} is missing inside")
        if info.compress_type != zipfile.ZIP_STORED:
            raise DataError(f"{self.where}: {name} is compressed, which torch never does")
        try:
            return self.zip.read(info)
        except Exception as error:
            raise DataError(f"{self.where}: {name} cannot be read: {error}") from error


class _Columns:
    """Turns the dictionary's values into 1-D arrays."""

    def __init__(self, where: str, archive: _Archive) -> None:
        self.where, self.archive = where, archive
        self.arrays = ArrayInterpreter(where)

    def column(self, key: str, node: Any) -> np.ndarray:
        if isinstance(node, list | tuple):
            array = self._from_list(key, node)
        elif isinstance(node, Call) and node.name == _REBUILD:
            array = self._from_tensor(key, node)
        else:
            array = self.arrays.array(node)
        if array.ndim != 1:
            raise DataError(f"{self.where}: {key[:60]} has shape {array.shape}, expected one row of values")
        if array.dtype.kind in "OUS":
            return np.array([self._text(key, item) for item in array.tolist()], object)
        return array.astype(np.int64) if array.dtype.kind in "iu" else array

    def _from_list(self, key: str, items: list[Any] | tuple[Any, ...]) -> np.ndarray:
        values = [self.arrays.scalar(item) if isinstance(item, Call) else item for item in items]
        kinds = {type(value) for value in values}
        if kinds <= {str, bytes}:
            return np.fromiter(values, object, count=len(values))
        if not kinds <= {int, float, bool}:
            raise DataError(f"{self.where}: {key[:60]} mixes {', '.join(sorted(kind.__name__ for kind in kinds))[:80]}")
        try:
            return np.array(values, np.float64 if float in kinds else np.int64)
        except OverflowError as error:
            raise DataError(f"{self.where}: {key[:60]} holds a number beyond 64 bits") from error

    def _from_tensor(self, key: str, node: Call) -> np.ndarray:
        storage, offset, size, stride = (*node.args, None, None, None, None)[:4]
        reference = storage.key if isinstance(storage, Persistent) else None
        if not isinstance(reference, tuple) or len(reference) < 3 or not isinstance(reference[1], Global):
            raise DataError(f"{self.where}: {key[:60]} is a tensor without a storage")
        kind = _STORAGES.get(reference[1].name)
        if kind is None:
            raise DataError(f"{self.where}: {key[:60]} is a tensor of {reference[1].name}")
        content = self.archive.member(f"data/{reference[2]}")
        values = np.frombuffer(content[: len(content) // np.dtype(kind).itemsize * np.dtype(kind).itemsize], kind)
        if (
            not isinstance(offset, int)
            or not isinstance(size, tuple)
            or stride != (1,)
            or len(size) != 1
            or not isinstance(size[0], int)
            or not 0 <= offset <= offset + size[0] <= len(values)
        ):
            raise DataError(f"{self.where}: {key[:60]} is no contiguous 1-D tensor of {len(values)} values")
        return values[offset : offset + size[0]]

    def _text(self, key: str, item: Any) -> str:
        if isinstance(item, bytes):
            return item.decode("utf-8", "replace")
        if not isinstance(item, str):
            raise DataError(f"{self.where}: {key[:60]} mixes text with {type(item).__name__}")
        return item
