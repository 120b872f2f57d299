"""An exponential moving average of a student's weights (Polyak averaging), kept beside it."""

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """A copy of a network that follows it: parameters and BatchNorm statistics alike.

    state_dict() is the averaged network's. The decay of step t (from 0) is min(decay, (1 + t) / (10 + t)), as in
    TensorFlow's ExponentialMovingAverage, so that the first steps do not keep the initial weights alive.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def follow(self, network: nn.Module, step: int) -> None:
        """Take in the network as it is after step number `step`."""
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        now = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(now[name], part)
            else:
                average.copy_(now[name])

    def state_dict(self) -> dict[str, Any]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)
