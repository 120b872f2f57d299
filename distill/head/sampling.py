"""Partial FC: a step's softmax over the classes of its batch and a random sample of the others.

An et al., Partial FC: Training 10 Million Identities on a Single Machine (ICCV workshops 2021). The sample is a
function of (seed, step) alone, so ranks, splits and restarts take the same one.
"""

import numpy as np
import torch
from torch import Tensor

from common.errors import ConfigError
from common.faces import words

STREAM_CLASS_SAMPLE = 5


def sample_size(rate: float, classes: int) -> int | None:
    """Classes a step takes of all, None for rate 1; raises ConfigError where a rate below 1 leaves none out."""
    size = max(1, round(rate * classes))
    if rate < 1 and size == classes:
        raise ConfigError(f"head.sample_rate = {rate} has no effect: it takes all {classes} classes: remove it")
    return size if rate < 1 else None


def sample_classes(labels: Tensor, classes: int, size: int, seed: int, step: int) -> Tensor:
    """Sorted int64 numbers of `size` classes, on the CPU, every class of the labels (B,) among them.

    More than `size` where the batch itself has more classes; then there are no others.
    """
    numbers = np.arange(classes, dtype=np.uint64)
    quarter = words(seed, STREAM_CLASS_SAMPLE, np.arange(-(-classes // 4)), step).ravel()[:classes]
    # A word a class, made unique by the class number; those of the batch stand above all others.
    rank = quarter.astype(np.uint64) << np.uint64(31) | numbers
    positives = np.unique(labels.cpu().numpy())
    rank[positives] |= np.uint64(1 << 63)
    size = max(size, len(positives))
    least = np.partition(rank, classes - size)[classes - size]
    return torch.from_numpy(np.flatnonzero(rank >= least))
