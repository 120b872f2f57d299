"""Saved states of split classes hold all C classes, so that any number of ranks can go on from them.

Saving gathers the parts on rank 0: every rank must ask for the state, and rank 0's is the one to write. Loading cuts
this rank's part out of what was saved.
"""

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from distill.head.split import Split


def keep_whole_weight(module: nn.Module, split: Split) -> None:
    """Make state dicts of a module, whose `weight` is a part (len,D), those of the whole (C,D)."""
    if split.parts == 1:
        return

    def gather(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
        state[f"{prefix}weight"] = split.whole(state[f"{prefix}weight"])

    def cut(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
        if f"{prefix}weight" in state:
            state[f"{prefix}weight"] = split.share(state[f"{prefix}weight"])

    module.register_state_dict_post_hook(gather)
    module.register_load_state_dict_pre_hook(cut)


def keep_whole_momentum(optimiser: Optimizer, weight: nn.Parameter, split: Split) -> None:
    """Likewise for what an optimiser remembers about a parameter that is a part."""
    if split.parts == 1:
        return
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    number = next(i for i, parameter in enumerate(parameters) if parameter is weight)

    def rows(state: dict[str, Any], length: int) -> dict[str, Tensor]:
        """The entries with a row a class."""
        entries = state["state"].get(number, {})
        return {k: v for k, v in entries.items() if isinstance(v, Tensor) and v.ndim and len(v) == length}

    def gather(_: Optimizer, state: dict[str, Any]) -> None:
        whole = {name: split.whole(part) for name, part in rows(state, len(split)).items()}
        state["state"] = {**state["state"], number: {**state["state"].get(number, {}), **whole}}

    def cut(_: Optimizer, state: dict[str, Any]) -> None:
        part = {name: split.share(whole) for name, whole in rows(state, split.classes).items()}
        state["state"] = {**state["state"], number: {**state["state"].get(number, {}), **part}}

    optimiser.register_state_dict_post_hook(gather)
    optimiser.register_load_state_dict_pre_hook(cut)
