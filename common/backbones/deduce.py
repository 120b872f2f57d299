"""Which backbone a state dict belongs to, read off its keys and shapes."""

from collections.abc import Mapping

import torch

from common.backbones.registry import build_backbone
from common.errors import ModelError

EMBEDDING_KEYS = {
    "output_layer.3.weight": [f"ir_{depth}" for depth in (18, 34, 50, 101)],
    "features.running_mean": [f"iresnet{depth}{se}" for se in ("", "_se") for depth in (18, 34, 50, 100)],
    "output_layer.linear.weight": ["mobilefacenet"],
    "output_layer.bn2.running_mean": ["mobilefacenet_gnap"],
    "features.layers.2.weight": ["mbf"],
    "fc.weight": ["sphere20", "sphere64"],
}
"""A key whose first dimension is the embedding size, and the backbones that have it."""

Shape = tuple[int, ...]


def deduce_backbone(shapes: Mapping[str, Shape]) -> tuple[str, int]:
    """Name and embedding size of the one backbone whose state has exactly these keys and shapes.

    Raises:
        ModelError: none has.
    """
    for key, names in EMBEDDING_KEYS.items():
        if key not in shapes:
            continue
        for name in names:
            name += _width_suffix(shapes) if name.startswith("mobilefacenet") else ""
            if dict(shapes) == backbone_shapes(name, shapes[key][0]):
                return name, shapes[key][0]
    example = ", ".join(list(shapes)[:3])
    raise ModelError(f"no backbone has these {len(shapes)} keys ({example} ...); state `architecture` and look again")


def backbone_shapes(name: str, embedding_size: int) -> dict[str, Shape]:
    """Keys and shapes of a backbone's state, without allocating it; empty if it cannot have that embedding size."""
    try:
        with torch.device("meta"):
            module = build_backbone(name, embedding_size)
    except ModelError:
        return {}
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def _width_suffix(shapes: Mapping[str, Shape]) -> str:
    stem = shapes.get("conv1.conv.weight", (64,))[0]
    return "" if stem == 64 else f"_{stem / 64}"
