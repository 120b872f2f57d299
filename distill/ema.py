"""An exponential moving average of a student's weights (Polyak averaging), kept beside it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """A copy of a network that follows it: parameters and BatchNorm statistics alike.

    state_dict() is the averaged network's. The decay of step t (from 0) is min(decay, (1 + t) / (10 + t)), as in
    TensorFlow's ExponentialMovingAverage, so that the first steps do not keep the initial weights alive.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).requires_grad_(False)
        pairs = [*zip(_kept(self.network), _kept(network), strict=True)]
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counted = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the network as it is after step number `step`."""
        part = 1 - min(self.decay, (1 + step) / (10 + step))
        if self._averaged:
            averages, now = zip(*self._averaged, strict=True)
            torch._foreach_lerp_(averages, now, part)
        if self._counted:
            counts, now = zip(*self._counted, strict=True)
            torch._foreach_copy_(counts, now)

    def state_dict(self) -> dict[str, Any]:
        return self.network.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state)


def _kept(network: nn.Module) -> list[Tensor]:
    """The parameters and buffers that a state dict has, themselves."""
    names = network.state_dict().keys()
    return [x for name, x in (*network.named_parameters(), *network.named_buffers()) if name in names]
