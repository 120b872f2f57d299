"""What can be evaluated, as named on a command line: weights, a run, an ONNX model, stored embeddings."""

from collections.abc import Sequence
from pathlib import Path

from common.config import ModelConfig
from common.errors import UserError
from common.models import FaceModel, open_model
from evaluate.embed import Embedder
from evaluate.stored import StoredEmbeddings


def open_sources(
    specs: Sequence[str], root: Path, device: str, threads: int | None
) -> dict[str, Embedder | StoredEmbeddings]:
    """Open `PATH` or `NAME=PATH` each: a weights file (any supported kind), an ONNX model, a run's folder (its
    `student.safetensors`), a folder of stored embeddings (`SET.npz`), or a HuggingFace repository.

    Raises UserError for two of one name.
    """
    sources: dict[str, Embedder | StoredEmbeddings] = {}
    for spec in specs:
        name, where = named(spec)
        if name in sources:
            raise UserError(f"two models are called {name}; name them: --model NAME=PATH")
        path = Path(where)
        if path.is_dir() and not (path / "student.safetensors").exists():
            if not any(path.glob("*.npz")):
                raise UserError(f"{path}: neither a run (student.safetensors) nor stored embeddings (SET.npz)")
            sources[name] = StoredEmbeddings(path)
            continue
        sources[name] = open_weights(
            str(path / "student.safetensors") if path.is_dir() else where, root, device, threads
        )
    return sources


def open_weights(where: str, root: Path, device: str, threads: int | None) -> FaceModel:
    """The model of a weights file, an ONNX file or a HuggingFace repository."""
    path = Path(where)
    return open_model(ModelConfig(weights=str(path.resolve()) if path.exists() else where), root, device, threads)


def named(spec: str) -> tuple[str, str]:
    """`NAME=PATH` as it says; `PATH` under its own name (of a run, the run's)."""
    name, equals, where = spec.partition("=")
    if equals:
        return name, where
    path = Path(spec)
    return (path.parent.name or path.stem) if path.name == "student.safetensors" else path.stem, spec


def named_sets(specs: Sequence[str], root: Path) -> dict[str, Path]:
    """Sets given as `PATH` or `NAME=PATH`; a path that is not there is looked for under the data root."""
    sets: dict[str, Path] = {}
    for spec in specs:
        name, where = named(spec)
        if name in sets:
            raise UserError(f"two sets are called {name}; name them: --on NAME=PATH")
        sets[name] = Path(where) if Path(where).exists() else root / where
    return sets
