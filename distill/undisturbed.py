"""Evaluation in the middle of training, leaving no trace: mode and random numbers are as before."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, inside; afterwards every submodule's own training flag and the states of the
    Python, numpy and torch (CPU and CUDA) random generators are what they were, also after an error."""
    modes = [(part, part.training) for part in module.modules()]
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def part_of_rank(total: int, rank: int, ranks: int) -> slice:
    """The consecutive share of `total` faces that one of several ranks embeds; the shares join to all, in order."""
    edges = np.linspace(0, total, ranks + 1).round().astype(int)
    return slice(int(edges[rank]), int(edges[rank + 1]))
