"""A model as people name it on a command line: a weights file, a run's folder, an ONNX file, a Hub repository."""

from pathlib import Path

from common.config import ModelConfig, Precision
from common.errors import ModelError
from common.foreign import refuse_foreign
from common.models.face_model import FaceModel, open_model

STUDENT = "student.safetensors"  # what a run's folder exports (`distill.run`)
# Where the project's own files lie: a name below one of these is a path, whether the folder is there or not.
_OWN_FOLDERS = ("runs", "data", "caches", "configs", "audits")


def open_named(
    where: str, root: Path, device: str, threads: int | None, precision: Precision = "float32", compile: bool = False
) -> FaceModel:
    """The model of a weights file, an ONNX file, a run's folder (its student) or a HuggingFace repository.

    Raises ModelError for a path that is not there and DataError for a file of another kind, before anybody is asked.
    """
    path = Path(where)
    if (path / STUDENT).exists():
        path = path / STUDENT
        where = str(path)
    if not path.exists() and not (root / path).exists() and _is_path(path, where, root):
        raise ModelError(f"{where}: no such file or folder; a HuggingFace repository of that name is hf://{where}")
    if path.is_file():
        with path.open("rb") as file:
            refuse_foreign(file.read(64), where, "model", allowed=(b"PK",))  # PyTorch's own files are zip files
    config = ModelConfig(
        weights=str(path.absolute()) if path.exists() else where,
        precision=precision,
        # Reduced precision pays on channels-last feature maps only (docs/teachers.md).
        channels_last=precision != "float32",
        compile=compile,
    )
    return open_model(config, root, device, threads)


def _is_path(path: Path, where: str, root: Path) -> bool:
    """Whether a name that is not there was meant as a path: `runs/nothere` is spelled as `owner/name` is."""
    if where.startswith("hf://"):
        return False
    first, *others = path.parts or (".",)
    below = first in _OWN_FOLDERS or Path(first).is_dir() or (root / first).is_dir()
    return below or where.startswith((".", "/", "~")) or where.endswith("/") or len(others) != 1
