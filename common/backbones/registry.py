"""Face networks by name: what a config calls `architecture` (of a teacher) or `backbone` (of a student).

    build_backbone("mobilefacenet", 512)        the student of the default recipe
    build_backbone("mobilefacenet_0.5", 128)    the same at half the width
    build_backbone("mobilefacenet_0.5_relu", 128)    and with ReLU in the place of PReLU
    build_backbone("ir_101", 512)               AdaFace's and CVLFace's teacher

All give embeddings as they leave the last layer; whoever compares them normalises.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from common.backbones.ir import IR
from common.backbones.iresnet import IResNet
from common.backbones.mbf import MBF
from common.backbones.mobilefacenet import ACTIVATIONS, mobilefacenet, mobilefacenet_gnap
from common.backbones.sphere import Sphere
from common.errors import ModelError


@dataclass(frozen=True)
class Entry:
    """How a network is built, the (height, width) of the faces it sees, and whether it comes in other widths and with
    other activations."""

    build: Callable[..., nn.Module]
    size: tuple[int, int] = (112, 112)
    variants: bool = False


REGISTRY: dict[str, Entry] = {
    "mobilefacenet": Entry(mobilefacenet, variants=True),
    "mobilefacenet_gnap": Entry(mobilefacenet_gnap, variants=True),
    "mbf": Entry(MBF),
    **{f"ir_{depth}": Entry(partial(IR, depth)) for depth in (18, 34, 50, 101)},
    **{f"iresnet{depth}": Entry(partial(IResNet, depth)) for depth in (18, 34, 50, 100)},
    **{f"iresnet{depth}_se": Entry(partial(IResNet, depth, se=True)) for depth in (18, 34, 50, 100)},
    **{f"sphere{depth}": Entry(partial(Sphere, depth), size=(112, 96)) for depth in (20, 64)},
}
_VARIANT = re.compile(rf"(?P<base>.+?)(?:_(?P<width>\d+\.\d+))?(?:_(?P<activation>{'|'.join(ACTIVATIONS)}))?")


def backbone_names() -> list[str]:
    """All names `build_backbone` takes; behind those of the MobileFaceNets a width and an activation may stand, as in
    `mobilefacenet_0.5_relu`."""
    return list(REGISTRY)


def build_backbone(name: str, embedding_size: int = 512) -> nn.Module:
    """A freshly initialised network: (B,3,H,W) float in [-1,1] -> (B,embedding_size), not normalised.

    Raises:
        ModelError: no such name, a width or activation a network does not have, or an embedding size it cannot give.
    """
    entry, variant = _find(name)
    try:
        return entry.build(embedding_size=embedding_size, **variant)
    except ValueError as error:
        raise ModelError(f"backbone {name}: {error}") from error


def backbone_size(name: str) -> tuple[int, int]:
    """(height, width) of the faces that backbone `name` sees. Raises ModelError as `build_backbone` does."""
    return _find(name)[0].size


def _find(name: str) -> tuple[Entry, dict[str, Any]]:
    if name in REGISTRY:
        return REGISTRY[name], {}
    match = _VARIANT.fullmatch(name)
    if match and match["base"] in REGISTRY:
        variant: dict[str, Any] = {}
        if match["width"]:
            variant["width"] = float(match["width"])
        if match["activation"]:
            variant["activation"] = match["activation"]
        if not REGISTRY[match["base"]].variants:
            lacks = "width multiplier" if "width" in variant else "other activation"
            raise ModelError(f"backbone {name}: {match['base']} has no {lacks}, only the mobilefacenets have")
        if not 0.1 <= variant.get("width", 1) <= 4:
            raise ModelError(f"backbone {name}: a width multiplier is between 0.1 and 4")
        return REGISTRY[match["base"]], variant
    raise ModelError(
        f"no backbone is called {name!r}; there are {', '.join(REGISTRY)}; widths and activations as in "
        "mobilefacenet_0.5_relu"
    )
