"""Learned centres of which a step moves only those of its sample (Partial FC).

    centers.take(sample)     before the forward pass: `active` (n,D) is the sample's centres
    centers.serve(optimiser) once: it moves `active` with the momentum of these classes, and both go back

The gradient has the sample's size, and a class outside it keeps centre and momentum, as An et al. trained: neither
weight decay nor an old momentum moves a centre that this step says nothing about.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from distill.head.centers import LearnedCenters
from distill.head.class_shard import ClassShard, keep_whole
from distill.head.sampling import Sample

_BUFFER = "momentum_buffer"


class SampledCenters(LearnedCenters):
    """weight: (C,D) raw centres and momentum: (C,D) of all classes held here; active: (n,D), the optimiser's."""

    momentum: Tensor

    def __init__(self, shard: ClassShard, dim: int) -> None:
        super().__init__(shard, dim)
        weight = self.weight.detach()
        del self.weight
        self.register_buffer("weight", weight)
        self.register_buffer("momentum", torch.zeros_like(weight))
        self.active = nn.Parameter(weight.new_empty(0, dim))
        self._sample: Sample | None = None
        keep_whole(self, shard, "momentum")
        self.register_state_dict_post_hook(_leave_out_active)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_expect_no_active)  # type: ignore[no-untyped-call]

    @property
    def trained(self) -> Tensor:
        return self.weight if self._sample is None else self.active

    def take(self, sample: Sample | None) -> None:
        """Take the centres of a sample, in its order; None: all of them, which gives them no gradient."""
        self._sample = sample
        if sample is not None:
            if len(self.active) != len(sample.rows):  # in a run the first step's size is every step's
                self.active.data = self.weight.new_empty(len(sample.rows), self.weight.shape[1])
            torch.index_select(self.weight, 0, sample.rows, out=self.active.data)

    def raw(self, which: slice | Tensor) -> Tensor:
        return self.trained.detach()[which]

    def serve(self, optimiser: Optimizer) -> None:
        """Make the optimiser's steps those of the sampled classes, its momentum theirs."""
        for group in optimiser.param_groups:
            group["params"] = [parameter for parameter in group["params"] if parameter is not self.active]
        # Of its own, since torch's fused SGD wants either all momenta of a group to be there or none.
        optimiser.add_param_group({"params": [self.active]})
        optimiser.register_step_pre_hook(self._lend_momentum)
        optimiser.register_step_post_hook(self._put_back)
        optimiser.register_state_dict_post_hook(self._leave_out_lent)

    def _lend_momentum(self, optimiser: Optimizer, *_: Any) -> None:
        if self._sample is not None and optimiser.param_groups[-1].get("momentum"):
            optimiser.state[self.active][_BUFFER] = self.momentum.index_select(0, self._sample.rows)

    def _put_back(self, optimiser: Optimizer, *_: Any) -> None:
        if self._sample is None:
            return
        put(self.weight, self._sample, self.active.detach())
        if (moved := optimiser.state[self.active].get(_BUFFER)) is not None:
            put(self.momentum, self._sample, moved)

    def _leave_out_lent(self, optimiser: Optimizer, state: dict[str, Any]) -> None:
        number = sum(len(group["params"]) for group in optimiser.param_groups) - 1
        state["state"] = {key: entry for key, entry in state["state"].items() if key != number}


def put(rows: Tensor, sample: Sample, new: Tensor) -> None:
    """Write new (n,D) into the sample's rows (C,D).

    Fillers stand for the first row: they write what it does, its old value where it is no class of the sample either.
    """
    if sample.filler is not None:
        first = torch.where(sample.filler[:1, None], rows[sample.rows[:1]], new[:1])
        new = torch.where(sample.filler[:, None], first, new)
    rows[sample.rows] = new


def _leave_out_active(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
    del state[f"{prefix}active"]


def _expect_no_active(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    state[f"{prefix}active"] = module.active
