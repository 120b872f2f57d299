"""Networks filled as the golden numbers were made: every tensor from its key's own generator."""

import zlib

import numpy as np
import torch
from torch import nn


def golden_tensor(key: str, shape: tuple[int, ...], is_batch_norm: bool) -> torch.Tensor:
    """The tensor that stands for `key` in every golden network."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if leaf == "running_var":
        values = rng.uniform(0.5, 1.5, shape)
    elif leaf == "running_mean":
        values = 0.05 * rng.standard_normal(shape)
    elif leaf == "bias":
        values = 0.02 * rng.standard_normal(shape)
    elif len(shape) >= 2:
        pointwise = len(shape) == 4 and (shape[2] == shape[3] == 1 or shape[1] <= 4)
        gain = 1.2 if pointwise else 0.5
        values = rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    elif is_batch_norm:
        values = rng.uniform(0.8, 1.2, shape)
    else:
        values = rng.uniform(0.1, 0.3, shape)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def fill(module: nn.Module) -> nn.Module:
    """Set all weights of `module` to their golden values; returns it, in eval mode."""
    state = module.state_dict()
    filled = {
        key: golden_tensor(key, tuple(value.shape), key.rpartition(".")[0] + ".running_var" in state)
        for key, value in state.items()
    }
    module.load_state_dict(filled)
    return module.eval()
