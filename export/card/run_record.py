"""What the files of a run say of its student: the one source of the card. Nothing is computed anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from safetensors import SafetensorError, safe_open

from common.config import Config, load_config
from common.documents import read_document
from common.embeddings import Thresholds, thresholds_beside
from common.errors import DataError, ModelError
from common.files import sha256_of
from common.models import Preset
from distill.run import BEST_STUDENT, SOURCES, STUDENT
from export.card.results import Numbers

Which = Literal["last", "best"]


class Teacher(BaseModel):
    """The account that a cache keeps of its teacher, as far as a card shows it."""

    name: str
    weights_sha256: str
    repo: str | None = None
    revision: str | None = None
    file: str | None = None
    architecture: str | None = None
    precision: str | None = None


class Faces(BaseModel):
    """The faces of a run or a cache."""

    kind: str
    samples: int
    identities: int
    fingerprint: str


class Seal(BaseModel):
    """Digests of a sealed cache."""

    ledger: str
    manifest: str
    skipped: int = 0


class Cache(BaseModel):
    """The manifest of a cache."""

    teacher: Teacher
    faces: Faces
    views: dict[str, Any]
    decoder: str
    created: str
    sealed: Seal


class Sources(BaseModel):
    """`sources.json`: the faces and caches a run learned from."""

    faces: Faces
    caches: list[Cache]


class Summary(BaseModel):
    """`summary.json`: what the training took."""

    seconds: float
    steps: int
    ranks: int
    best: dict[str, Any] | None = None


class Report(BaseModel):
    """`evaluation/results.json`: numbers by model and set."""

    results: dict[str, dict[str, Numbers]] = {}
    skipped: dict[str, str] = {}


@dataclass(frozen=True)
class RunRecord:
    """A finished run as its files tell it; `results` are by set, `others` by model (teachers) and set."""

    folder: Path
    config: Config
    weights: Path
    sha256: str
    contract: Preset
    step: str
    summary: Summary
    sources: Sources | None
    thresholds: Thresholds | None
    results: Mapping[str, Numbers]
    others: Mapping[str, Mapping[str, Numbers]]


def read_run(folder: Path, which: Which = "last") -> RunRecord:
    """The record of runs/NAME. `best`: of the student that was best by `train.best_by`.

    Raises ModelError where there is no such student, ConfigError and DataError for files that are missing or damaged.
    """
    weights = folder / (STUDENT if which == "last" else BEST_STUDENT)
    if not weights.is_file():
        raise ModelError(f"{weights}: no student there: train it with `make distill` first")
    config = load_config(folder / "config.toml")
    header = _header(weights)
    sources = folder / SOURCES
    report = folder / "evaluation" / "results.json"
    found = read_document(report, Report, DataError, "evaluate again (make eval)") if report.exists() else Report()
    own = f"{config.name} (best)" if which == "best" else config.name
    return RunRecord(
        folder,
        config,
        weights,
        sha256_of(weights),
        Preset.from_metadata(header),
        header.get("step", "unknown"),
        read_document(folder / "summary.json", Summary, DataError, "go on with the training (make distill)"),
        read_document(sources, Sources, DataError, "go on with the training (make distill)")
        if sources.exists()
        else None,
        thresholds_beside(weights),
        found.results.get(own, {}),
        {name: sets for name, sets in found.results.items() if name.endswith(" (teacher)")},
    )


def _header(weights: Path) -> dict[str, str]:
    try:
        with safe_open(weights, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights}: cannot be read ({error}): train or copy it again") from error
