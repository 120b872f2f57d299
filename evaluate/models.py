"""What can be evaluated, as named on a command line: weights, a run, an ONNX model, stored embeddings."""

import re
from collections.abc import Sequence
from pathlib import Path

from common.config import MeasureConfig
from common.embeddings import Embedder
from common.errors import UserError
from common.models import STUDENT, FaceModel, open_named
from evaluate.stored import StoredEmbeddings

BEST = "best.safetensors"  # beside a run's STUDENT
# The sets that come with InsightFace's training faces; CVLface and AdaFace use the same files.
KNOWN_SETS = ("lfw", "cfp_fp", "cfp_ff", "agedb_30", "calfw", "cplfw", "vgg2_fp")


def open_sources(
    specs: Sequence[str], root: Path, device: str, threads: int | None, options: MeasureConfig
) -> dict[str, Embedder | StoredEmbeddings]:
    """Open `PATH` or `NAME=PATH` each: a weights file (any supported kind), an ONNX model, a run's folder (its
    `student.safetensors`), a folder of stored embeddings (`evaluate.stored`), or a HuggingFace repository.

    Raises UserError for two of one name, and for options without effect on what is named.
    """
    sources: dict[str, Embedder | StoredEmbeddings] = {}
    for spec in specs:
        name, where = named(spec)
        if name in sources:
            raise UserError(f"two models are called {name}; name them: --model NAME=PATH")
        path = Path(where)
        if path.is_dir() and not (path / STUDENT).exists():
            if not StoredEmbeddings.lie_in(path):
                raise UserError(f"{path}: neither a run ({STUDENT}) nor stored embeddings of sets")
            _refuse_idle(path, options)
            sources[name] = StoredEmbeddings(path)
            continue
        sources[name] = open_weights(where, root, device, threads, options)
    return sources


def _refuse_idle(path: Path, options: MeasureConfig) -> None:
    for option in ("precision", "compile", "flip"):
        if getattr(options, option) != MeasureConfig.model_fields[option].default:
            raise UserError(
                f"{path}: {option} = {getattr(options, option)} has no effect on stored embeddings; leave it out, or "
                "embed the set again"
            )


def open_weights(where: str, root: Path, device: str, threads: int | None, options: MeasureConfig) -> FaceModel:
    """`common.models.open_named` in the arithmetic the options ask for."""
    return open_named(where, root, device, threads, options.precision, options.compile)


def named(spec: str) -> tuple[str, str]:
    """`NAME=PATH` as it says; `PATH` under its own name without ending (of a run's student, the run's)."""
    name, equals, where = spec.partition("=")
    if equals:
        return name, where
    path = Path(spec)
    if path.name == BEST and path.parent.name:
        return f"{path.parent.name} (best)", spec
    own = path.parent.name if path.name == STUDENT else path.name
    return re.sub(r"\.[a-z]\w*$", "", own or path.name), spec  # tinyface_aligned_pad_0.1 is a whole name


def named_sets(specs: Sequence[str], root: Path) -> dict[str, Path]:
    """Sets given as `PATH` or `NAME=PATH`. A path that is not there is looked for under the data root; one of
    `KNOWN_SETS`, in any spelling (CFP-FP), is NAME.bin there or one folder below (faces_emore/cfp_fp.bin)."""
    sets: dict[str, Path] = {}
    for spec in specs:
        name, where = named(spec)
        if name in sets:
            raise UserError(f"two sets are called {name}; name them: --on NAME=PATH")
        sets[name] = _find_set(where, root)
    return sets


def _find_set(where: str, root: Path) -> Path:
    known = where.lower().replace("-", "_")
    if known in KNOWN_SETS and not Path(where).is_file():
        expected = root / f"{known}.bin"
        return expected if expected.exists() else next(iter(sorted(root.glob(f"*/{known}.bin"))), expected)
    return Path(where) if Path(where).exists() else root / where
