"""From what a config calls `weights` to one file on this disk, and its digest."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.errors import ModelError
from common.files import sha256_of

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".onnx")
IN_A_FOLDER = ("model.safetensors", "pretrained_model/model.pt", "backbone.pth")
"""Where weights lie in a Hub repository or a copy of one, best first."""

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_COLOR_SPACE = re.compile(r"^\s*color_space:\s*['\"]?(RGB|BGR)\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class WeightFile:
    """A file of weights and where it came from.

    `name` is the repository, or the file's name: a machine's paths stay out of manifests.
    """

    path: Path
    sha256: str
    name: str
    file: str
    repo: str | None = None
    revision: str | None = None


def find_weights(weights: str, revision: str | None, root: Path) -> WeightFile:
    """A path (absolute, or below `root`) of a file or a folder.

    Raises:
        ModelError: there is nothing there, or no weights in the folder.
    """
    path = root / Path(weights).expanduser()
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise ModelError(f"{path}: there are no weights")
    return WeightFile(path, sha256_of(path), path.name, path.name)


def color_space_beside(path: Path) -> Literal["rgb", "bgr"] | None:
    """Channel order in the `model.yaml` that CVLFace keeps next to its weights, if there is one.

    Only that one line is read: CVLFace's own wrapper flips the channels when it says BGR.
    """
    for description in (path.parent / "model.yaml", path.parent / "pretrained_model" / "model.yaml"):
        if description.is_file():
            match = _COLOR_SPACE.search(description.read_text(errors="replace"))
            if match:
                return "bgr" if match[1].upper() == "BGR" else "rgb"
    return None


def _in_folder(folder: Path) -> Path:
    for file in IN_A_FOLDER:
        if (folder / file).is_file():
            return folder / file
    raise ModelError(f"{folder}: none of {', '.join(IN_A_FOLDER)} is in this folder; name the file itself")
