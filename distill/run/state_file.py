"""A training state as one of torch's own files, written piece by piece.

What `torch.save` writes and `torch.load(..., weights_only=True)` reads: a zip with a pickle of everything but numbers
and one record a tensor. `torch.save` wants every tensor whole in the host's memory; here no more than BLOCK of one is
copied from the device, or received from the rank that has it.
"""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.head import ShardedRows

BLOCK = 64 << 20  # bytes
_STORAGES = {
    torch.float32: torch.FloatStorage,
    torch.float64: torch.DoubleStorage,
    torch.float16: torch.HalfStorage,
    torch.bfloat16: torch.BFloat16Storage,
    torch.int64: torch.LongStorage,
    torch.int32: torch.IntStorage,
    torch.uint8: torch.ByteStorage,
    torch.bool: torch.BoolStorage,
}


def write_state(state: dict[str, Any], path: Path | None) -> None:
    """Write a state; to be called on all ranks where some of it is shared out, with a path on the first one alone."""
    pickled = io.BytesIO()
    pickler = _Pickler(pickled)
    pickler.dump(state)
    if path is None:
        for rows in pickler.records:
            for _ in _bytes_of(rows):
                pass
        return
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "data.pkl", [pickled.getbuffer()], pickled.tell())
        _add(archive, "byteorder", [sys.byteorder.encode()], 8)
        for number, record in enumerate(pickler.records):
            _add(archive, f"data/{number}", _bytes_of(record), record.shape.numel() * record.dtype.itemsize)
        _add(archive, "version", [b"3\n"], 2)


class _Storage(NamedTuple):
    """A record of the file, as the pickle refers to it."""

    kind: Any
    key: str
    length: int


class _Pickler(pickle.Pickler):
    """Collects the tensors, in one order on all ranks, and leaves torch's references to their records."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)
        self.records: list[Tensor | ShardedRows] = []

    def reducer_override(self, x: Any) -> Any:
        if not isinstance(x, Tensor | ShardedRows):
            return NotImplemented
        stride = x.stride() if isinstance(x, Tensor) and _is_whole_storage(x) else _strides(x.shape)
        storage = _Storage(_STORAGES[x.dtype], str(len(self.records)), x.shape.numel())
        self.records.append(x)
        return torch._utils._rebuild_tensor_v2, (storage, 0, tuple(x.shape), stride, False, OrderedDict())

    def persistent_id(self, x: Any) -> Any:
        return ("storage", x.kind, x.key, "cpu", x.length) if isinstance(x, _Storage) else None


def _bytes_of(x: Tensor | ShardedRows) -> Iterator[memoryview]:
    """The numbers of a record in the file's order, on the host."""
    if isinstance(x, ShardedRows):
        blocks: Iterable[Tensor] = x.blocks(BLOCK)
    else:
        # In the storage's order, which may be channels-last: the momentum that is read back is laid out as it was.
        flat = x.as_strided((x.numel(),), (1,)) if _is_whole_storage(x) else x.contiguous().flatten()
        blocks = flat.split(max(1, BLOCK // x.element_size()))
    for block in blocks:
        yield block.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _is_whole_storage(x: Tensor) -> bool:
    return x.untyped_storage().nbytes() == x.numel() * x.element_size()


def _strides(shape: torch.Size) -> tuple[int, ...]:
    return tuple(shape[place + 1 :].numel() for place in range(len(shape)))


def _add(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes | memoryview], size: int) -> None:
    info = zipfile.ZipInfo(f"archive/{name}")
    info.file_size = size
    with archive.open(info, "w", force_zip64=size >= 1 << 31) as member:
        for part in parts:
            member.write(part)
