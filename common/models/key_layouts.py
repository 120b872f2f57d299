"""One network's weights circulate under several key layouts; here they all become the network's own keys.

    CVLFace   pretrained_model/model.pt     net.input_layer.0.weight
    CVLFace   model.safetensors             model.net.input_layer.0.weight
    AdaFace   .ckpt, under "state_dict"     model.input_layer.0.weight, and head.kernel, head.t ...
    InsightFace, AdaDistill .pth            conv1.weight
    any of them out of DataParallel         module.<key>,  out of torch.compile: _orig_mod.<key>

Strictly: a prefix goes only if every key has it, and then every key of the network must be there once, with its shape,
and no other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from common.errors import ModelError

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
HEAD_KEYS = {"head.kernel", "head.t", "head.batch_mean", "head.batch_std"}
"""What AdaFace's training keeps beside the backbone: class centres and the statistics of its margin."""

LISTED = 6


@dataclass(frozen=True)
class Adapted:
    """Tensors under the network's own keys; the prefix that was removed; keys that are no part of a backbone."""

    tensors: dict[str, Tensor]
    prefix: str
    set_aside: list[str]


def adapt(tensors: Mapping[str, Tensor]) -> Adapted:
    """Remove what wrappers put in front of the keys, and an AdaFace training head if there is one."""
    set_aside = sorted(HEAD_KEYS & set(tensors))
    kept = {key: value for key, value in tensors.items() if key not in HEAD_KEYS}
    removed = ""
    while kept:
        prefix = next((p for p in PREFIXES if all(key.startswith(p) for key in kept)), None)
        if prefix is None:
            break
        kept = {key.removeprefix(prefix): value for key, value in kept.items()}
        removed += prefix
    return Adapted(kept, removed, set_aside)


def check_fit(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise ModelError unless `tensors` are exactly the state of `module`, listing what is not."""
    state = module.state_dict()
    shapes = [
        f"{key} {tuple(tensors[key].shape)} instead of {tuple(state[key].shape)}"
        for key in state
        if key in tensors and tensors[key].shape != state[key].shape
    ]
    faults = {
        "missing": [key for key in state if key not in tensors],
        "unexpected": [key for key in tensors if key not in state],
        "of another shape": shapes,
    }
    if any(faults.values()):
        told = "; ".join(f"{len(keys)} {fault}: {_listed(keys)}" for fault, keys in faults.items() if keys)
        raise ModelError(f"{source} does not fit {type(module).__name__}: {told}")


def _listed(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(keys[:LISTED]) + more
