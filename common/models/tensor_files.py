"""Checkpoint files as flat dictionaries of tensors. Nothing in a file can run code here.

`.safetensors` holds tensors and text only. `.pt`, `.pth` and `.ckpt` are pickles: torch reads them with
`weights_only=True`, which knows tensors and plain containers and refuses every other object.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from common.errors import DataError
from common.files import replacing

PICKLED = (".pt", ".pth", ".ckpt")
NESTS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "backbone")
"""Where training programs keep the weights inside a checkpoint: Lightning, arcface_torch, and habit."""


class _Inert:
    """Stands for an object of Lightning's in a checkpoint; keeps nothing and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


# Old Lightning checkpoints (AdaFace's are such) mention these beside the tensors. Mapping the names to inert classes
# lets torch's restricted reader pass over them; Lightning itself is never imported.
_LIGHTNING: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Inert, "argparse.Namespace"),
    (_Inert, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    (_Inert, "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor"),
    (_Inert, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (dict, "pytorch_lightning.utilities.parsing.AttributeDict"),
]


@dataclass(frozen=True)
class TensorFile:
    """Contents of a checkpoint: tensors as they were named, text about them, and the entry they were nested in."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    nest: str | None = None


def read_tensors(path: Path) -> TensorFile:
    """Read a checkpoint on the CPU.

    Raises:
        DataError: missing, damaged, no checkpoint, or a pickle that holds anything but tensors and plain containers.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in PICKLED:
        return _read_pickle(path)
    raise DataError(
        f"{path}: weights are {', '.join(PICKLED)} or .safetensors, not {path.suffix or 'without a suffix'}"
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a `.safetensors` file whole or not at all."""
    copies = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(copies, temporary, {"format": "pt", **metadata})


def _read_safetensors(path: Path) -> TensorFile:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return TensorFile(tensors, file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable safetensors file ({error}): copy or export it again") from error


def _read_pickle(path: Path) -> TensorFile:
    try:
        with torch.serialization.safe_globals(_LIGHTNING):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile or damaged pickle can raise nearly anything
        raise DataError(f"{path}: refused; {_why(path, error)}") from error
    nest = None
    if isinstance(content, dict) and not _all_tensors(content):
        nests = [name for name in NESTS if isinstance(content.get(name), dict) and _all_tensors(content[name])]
        if len(nests) > 1:
            raise DataError(f"{path}: holds several sets of weights ({', '.join(nests)}); save the one you mean alone")
        nest = nests[0] if nests else None
        content = content[nest] if nest else content
    if not isinstance(content, dict) or not content or not _all_tensors(content):
        raise DataError(f"{path}: no state dict in it, neither at the top nor under {', '.join(NESTS)}")
    return TensorFile(dict(content), nest=nest)


def _all_tensors(content: dict[Any, Any]) -> bool:
    return all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def _why(path: Path, error: Exception) -> str:
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:
        foreign = []
    if foreign:
        return f"it holds objects other than tensors ({', '.join(sorted(foreign)[:5])}), which could run code"
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return f"not a readable PyTorch checkpoint ({first_line[:200]})"
