"""Class centres that a teacher's knowledge gives before the first step: the cache's, or those of its training header.

A header is what a face-recognition training leaves beside the network: AdaDistill and InsightFace save `kernel` (D,C)
or `weight` (C,D) in a `.pt`, `.pth` or `.safetensors` file.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from cache.several import CachedTeacher
from common.config import Config
from common.errors import DataError
from common.models import read_tensors


class TeacherSpace(NamedTuple):
    """Where a student learns. width: D of embeddings and centres. start: float32 (C,D) centres to begin with, None
    where they begin random. targets: (C,D) the teacher's for `terms.logits`, None without it."""

    width: int
    start: Tensor | None = None
    targets: Tensor | None = None


def teacher_space(config: Config, root: Path, cache: CachedTeacher | None, classes: int) -> TeacherSpace:
    """The space of an experiment: the teacher's, or without one the student's own.

    Raises DataError for a header file that is missing, damaged, or not for these classes and this width.
    """
    width = config.student.embedding_size if cache is None else cache.dim
    targets = None
    if config.terms.header is not None:
        targets = read_header(root / config.terms.header, classes, width, "terms.header")
    elif config.terms.logits != "off":
        assert cache is not None
        targets = torch.from_numpy(cache.centers)
    return TeacherSpace(width, _start(config, root, cache, classes, width), targets)


def _start(config: Config, root: Path, cache: CachedTeacher | None, classes: int, width: int) -> Tensor | None:
    if config.head.header is not None:
        return read_header(root / config.head.header, classes, width)
    if config.head.centers == "frozen" or config.head.start == "cache":
        assert cache is not None
        return torch.from_numpy(cache.centers)
    return None


def read_header(path: Path, classes: int, dim: int, key: str = "head.header") -> Tensor:
    """The one matrix of a header file as float32 (C,D): stored so, or as (D,C), which a name ending in kernel decides
    where both fit."""
    tensors = read_tensors(path).tensors
    matrices = {key: tensor for key, tensor in tensors.items() if tensor.ndim == 2 and min(tensor.shape) > 1}
    if len(matrices) != 1:
        found = ", ".join(f"{key} {tuple(tensor.shape)}" for key, tensor in matrices.items()) or "none"
        raise DataError(f"{path}: {key} is a file with one matrix of class centres; matrices in it: {found}")
    ((name, matrix),) = matrices.items()
    shape = tuple(matrix.shape)
    if shape == (dim, classes) and (dim != classes or name.endswith("kernel")):
        matrix = matrix.T
    elif shape != (classes, dim):
        raise DataError(
            f"{path}: {name} is {shape[0]} x {shape[1]}, but the faces have {classes} identities and "
            f"embeddings are {dim} wide: take the header of a teacher trained on these faces, of that width"
        )
    centers = matrix.to(torch.float32).contiguous()
    broken = ~torch.isfinite(centers).all(1) | (centers.abs().amax(1) == 0)
    if broken.any():
        raise DataError(f"{path}: {name} has no direction for class {int(broken.nonzero()[0])}: zeros, or not finite")
    return centers
