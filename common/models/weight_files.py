"""From what a config calls `weights` to one file on this disk, and its digest."""

import re
from dataclasses import dataclass
from pathlib import Path

from common.config import ChannelOrder
from common.errors import ModelError
from common.models.hub import WEIGHTS, HubFile, fetch_weights, kept
from common.models.hub_transfer import COMMIT
from common.models.weight_digest import digest_of

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".onnx")

PUBLISHED = {
    "face_recognition_sface_2021dec.onnx": (
        "opencv/face_recognition_sface",
        "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    ),
}
"""Files that are taken from the Hub where their path is not on this machine: repository and SHA-256."""

_HUB = re.compile(r"(hf://)?(?P<repo>\w[\w.-]*/\w[\w.-]*)(?(1)(/(?P<file>.+))?)")
_COLOR_SPACE = re.compile(r"^\s*color_space:\s*['\"]?(RGB|BGR)\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class WeightFile:
    """A file of weights and where it came from.

    `name` is the repository, or see `local_name`; `file` is the path in the repository, or the file's own name: a
    machine's paths stay out of manifests.
    """

    path: Path
    sha256: str
    name: str
    file: str
    repo: str | None = None
    revision: str | None = None


def find_weights(weights: str, revision: str | None, root: Path) -> WeightFile:
    """The file behind `weights`, downloaded if it is on the Hub and not on this disk.

    Args:
        weights: a path (absolute, or below `root`) of a file or a folder; else `owner/name` or
            `hf://owner/name/path/in/it`, a HuggingFace Hub repository.
        revision: commit, tag or branch of the repository.
        root: data root.

    Raises:
        ModelError: there are no weights, the Hub does not give them, a revision is given for a local file, or the bytes
            are not those the Hub announced.
    """
    on_hub = hub_name(weights, root)
    if on_hub is None:
        return _local(weights, root / Path(weights).expanduser(), revision)
    repo, file = on_hub
    if file is not None and Path(file).suffix not in SUFFIXES:
        raise ModelError(f"{weights}: weights are {', '.join(SUFFIXES)} files")
    return _published(_of_hub(fetch_weights(repo, revision, file)), weights)


def kept_weights(weights: str, revision: str | None, root: Path, commit: str | None = None) -> WeightFile | None:
    """`find_weights` of what is on this machine already; no network is asked, and None says that it is not here.

    commit: taken for a branch or tag that is not on this machine, such as a manifest's record of it.

    Raises:
        ModelError: the weights are here and not what they should be.
    """
    on_hub = hub_name(weights, root)
    if on_hub is None:
        path = root / Path(weights).expanduser()
        return _local(weights, path, revision) if path.exists() else None
    repo, file = on_hub
    found = kept(repo, revision, file)
    if found is None and commit is not None and not (revision and COMMIT.fullmatch(revision)):
        found = kept(repo, commit, file)
    return _published(_of_hub(found), weights) if found is not None else None


def require_digest(weights: WeightFile, sha256: str | None) -> None:
    """Raises ModelError when a config states another digest than these weights have."""
    if sha256 is not None and sha256.lower() != weights.sha256:
        raise ModelError(
            f"{weights.path}: sha256 is {weights.sha256}, the config says {sha256}; these are other weights"
        )


def local_name(weights: str) -> str | None:
    """What people call weights in a file or folder of this machine, from the spelling alone; None for "." and the like.

    A folder's name, also where the file in it is spelled out: files of that layout are all called model.pt.
    """
    parts = Path(weights).parts
    for file in sorted(WEIGHTS, key=len, reverse=True):
        inner = Path(file).parts
        if parts[-len(inner) :] == inner and len(parts) > len(inner):
            return Path(*parts[: -len(inner)]).name or Path(weights).name
    return Path(weights).name or None


def hub_name(weights: str, root: Path) -> tuple[str, str | None] | None:
    """(owner/name, file or None) if `weights` is on the Hub, None if it is a path. Asks neither network nor cache.

    A path that is not there is on the Hub if its file is `PUBLISHED`.
    """
    match = _HUB.fullmatch(weights)
    if match is not None and weights.startswith("hf://"):
        return match["repo"], match["file"]
    path = Path(weights).expanduser()
    if (root / path).exists():
        return None
    if path.name in PUBLISHED:
        return PUBLISHED[path.name][0], path.name
    return None if match is None or path.suffix in SUFFIXES else (match["repo"], match["file"])


def color_space_beside(path: Path) -> ChannelOrder | None:
    """Channel order in the `model.yaml` that CVLFace keeps next to its weights, if there is one.

    Only that one line is read: CVLFace's own wrapper flips the channels when it says BGR.
    """
    for description in (path.parent / "model.yaml", path.parent / "pretrained_model" / "model.yaml"):
        if description.is_file():
            match = _COLOR_SPACE.search(description.read_text(errors="replace"))
            if match:
                return "bgr" if match[1].upper() == "BGR" else "rgb"
    return None


def _of_hub(found: HubFile) -> WeightFile:
    return WeightFile(found.path, digest_of(found.path), found.repo, found.file, found.repo, found.revision)


def _published(found: WeightFile, weights: str) -> WeightFile:
    """Weights of the Hub, refused where a path stands for a published file and the Hub has another by that name."""
    _, digest = PUBLISHED.get(Path(weights).name, ("", found.sha256))
    if not weights.startswith("hf://") and found.sha256 != digest:
        raise ModelError(
            f"{found.path}: sha256 is {found.sha256}, {Path(weights).name} has {digest}: put that file at {weights} in "
            "the data root"
        )
    return found


def _local(weights: str, path: Path, revision: str | None) -> WeightFile:
    if revision is not None:
        raise ModelError(f"{path}: `revision` only means something for a Hub repository; leave it out")
    if path.is_dir():
        path = _in_folder(path)
    if not path.is_file():
        raise ModelError(f"{path}: there are no weights: put the file there, or name another one")
    if path.suffix not in SUFFIXES:
        raise ModelError(f"{path}: weights are {', '.join(SUFFIXES)} files")
    return WeightFile(path, digest_of(path), local_name(weights) or path.name, path.name)


def _in_folder(folder: Path) -> Path:
    for file in WEIGHTS:
        if (folder / file).is_file():
            return folder / file
    raise ModelError(f"{folder}: none of {', '.join(WEIGHTS)} is in this folder; name the file itself")
