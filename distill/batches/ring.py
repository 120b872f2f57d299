"""Batches in memory that processes share, used again and again: nothing is sent, allocated or copied a batch.

The memory is anonymous and shared with processes forked later. It is no file in /dev/shm, so a container's limit on
that does not matter.
"""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from distill.batches.face_batches import FaceBatches, TrainingBatch


class Slot(NamedTuple):
    """Room for one batch. wanted: int64 (2,B), the sample and view numbers it is to be made of."""

    wanted: Tensor
    batch: TrainingBatch


def shared(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros in memory of its own, which processes forked later see, too."""
    return torch.frombuffer(mmap.mmap(-1, math.prod(shape) * dtype.itemsize), dtype=dtype).view(shape)


def ring(faces: FaceBatches, rows: int, slots: int) -> list[Slot]:
    """Room for so many batches of `rows` samples, to be made before the processes that fill it."""
    return [Slot(shared((2, rows), torch.int64), faces.empty(rows, shared)) for _ in range(slots)]


@contextmanager
def pinned(slots: list[Slot], device: torch.device) -> Iterator[None]:
    """Inside, a GPU fetches the batches from where they are, while the processor does something else.

    To be entered after the fork: what is pinned in a process is so in it alone.
    """
    if device.type != "cuda":
        yield
        return
    tensors = [tensor for slot in slots for tensor in slot.batch if tensor is not None]
    runtime, registered = torch.cuda.cudart(), []
    try:
        for tensor in tensors:
            torch.cuda.check_error(runtime.cudaHostRegister(tensor.data_ptr(), tensor.nbytes, 0))
            registered.append(tensor)
        yield
    finally:
        for tensor in registered:
            runtime.cudaHostUnregister(tensor.data_ptr())
