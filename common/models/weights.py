"""Load and save the weights of face networks, and convert what others published.

    python -m export weights adaface_ir50_ms1mv2.ckpt ir50.safetensors
    python -m export weights backbone.pth r50.safetensors --architecture iresnet50

A converted file says itself what it is (architecture, embedding size, channel order, size, scaling, digest of the
source): opening it needs no further options.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from common.backbones import backbone_size, build_backbone, deduce_backbone
from common.errors import ModelError
from common.files import sha256_of
from common.models.key_layouts import Adapted, adapt, check_fit
from common.models.presets import ADAFACE, UNIT_RGB, Preset, by_sha256, first_known
from common.models.tensor_files import TensorFile, read_tensors, write_tensors
from common.models.weight_files import color_space_beside


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` took from a file: number of tensors, the prefix their keys had, keys not of the backbone."""

    path: Path
    sha256: str
    tensors: int
    prefix: str
    set_aside: list[str]
    metadata: dict[str, str]


def load_weights(module: nn.Module, path: str | Path) -> Loaded:
    """Fill a module from a checkpoint in any layout in circulation (see `key_layouts`), strictly.

    Args:
        module: any network; its state dict names what must be there.
        path: .safetensors, .pt, .pth or .ckpt.

    Raises:
        DataError: the file is missing, damaged or hostile.
        ModelError: a key is missing, unexpected or of another shape, or a weight is not finite; nothing was loaded.
    """
    path = Path(path)
    file = read_tensors(path)
    own = module.state_dict()
    adapted = Adapted(file.tensors, "", []) if set(file.tensors) == set(own) else adapt(file.tensors)
    fill(module, adapted, path)
    return Loaded(path, sha256_of(path), len(own), adapted.prefix, adapted.set_aside, file.metadata)


def fill(module: nn.Module, adapted: Adapted, path: Path) -> None:
    """Load adapted tensors into a module they fit exactly; raises ModelError as `load_weights` does."""
    check_fit(module, adapted.tensors, str(path))
    for key, value in adapted.tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise ModelError(f"{path}: {key} has values that are not finite")
    module.load_state_dict(adapted.tensors)


def build_filled(contract: Preset, adapted: Adapted, path: Path) -> nn.Module:
    """The contract's backbone with these weights, float32, in evaluation mode.

    Raises:
        ModelError: the weights do not fit the backbone, the backbone sees another size, or a weight is not finite.
    """
    assert contract.architecture is not None
    assert contract.embedding_size is not None
    if contract.size != backbone_size(contract.architecture):
        raise ModelError(
            f"{path}: {contract.architecture} sees {backbone_size(contract.architecture)}, not {contract.size}"
        )
    # On the meta device first: nothing is allocated for a size that only a hostile file claims.
    with torch.device("meta"):
        module = build_backbone(contract.architecture, contract.embedding_size)
    check_fit(module, adapted.tensors, str(path))
    module.to_empty(device="cpu")
    fill(module, adapted, path)
    return module.eval()


def save_weights(module: nn.Module, path: str | Path, metadata: Mapping[str, object]) -> None:
    """Write a module's state as safetensors, whole or not at all.

    Args:
        module: an uncompiled network, not wrapped in DataParallel.
        path: ends in .safetensors.
        metadata: text about it; `Preset.to_metadata()` makes the file open without further options.

    Raises:
        ModelError: `path` has another suffix.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: weights are written as .safetensors only")
    write_tensors(path, module.state_dict(), {key: str(value) for key, value in metadata.items()})


def contract_of(stated: Preset, file: TensorFile, adapted: Adapted, path: Path, digest: str, *known: Preset) -> Preset:
    """What the weights in a PyTorch checkpoint want to see, as far as anybody knows.

    First what the user stated, then what the file says, then published digests, then a description beside the file,
    then `known`, then what its key layout gives away.

    Raises:
        ModelError: no backbone fits the keys, or only one whose channel order circulates both ways.
    """
    described = Preset(channel_order=color_space_beside(path))
    contract = first_known(stated, Preset.from_metadata(file.metadata), by_sha256(digest), described, *known)
    if contract.architecture is None or contract.embedding_size is None:
        shapes = {key: tuple(value.shape) for key, value in adapted.tensors.items()}
        try:
            name, embedding_size = deduce_backbone(shapes)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        contract = first_known(contract, Preset(architecture=name, embedding_size=embedding_size))
    assert contract.architecture is not None
    contract = first_known(
        contract,
        Preset(size=backbone_size(contract.architecture)),
        _layout_preset(contract.architecture, file, adapted),
    )
    if contract.channel_order is None:
        raise ModelError(
            f"{path}: set channel_order; AdaFace's own {contract.architecture} saw bgr, CVLFace's rgb, and these keys"
            " do not tell them apart"
        )
    return contract


def _layout_preset(architecture: str, file: TensorFile, adapted: Adapted) -> Preset:
    """Training programs that write such keys: AdaFace's saw BGR, all others RGB in [-1,1]."""
    if not architecture.startswith("ir_") or adapted.prefix.endswith("net."):
        return UNIT_RGB
    if file.nest == "state_dict" and adapted.prefix == "model.":
        return ADAFACE
    return replace(UNIT_RGB, channel_order=None)


def convert_checkpoint(source: Path, target: Path, stated: Preset) -> Preset:
    """Write `source` as a self-describing safetensors file; returns its contract. Raises as `load_weights` does."""
    file = read_tensors(source)
    adapted = adapt(file.tensors)
    digest = sha256_of(source)
    contract = contract_of(stated, file, adapted, source, digest)
    module = build_filled(contract, adapted, source)
    save_weights(module, target, {**contract.to_metadata(), "source_sha256": digest, "source_file": source.name})
    return contract
