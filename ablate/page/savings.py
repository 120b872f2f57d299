"""What the cache spared: faces that a teacher beside every training would have embedded, and its hours for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ablate.records import read_summary
from cache.format import layout_of, read_manifest
from common.documents import read_document
from common.errors import UserError
from common.plan import duration_text
from evaluate.run import PACE

if TYPE_CHECKING:
    from ablate.results import Run, Study


class _Pace(BaseModel):
    """pace.json of an evaluation: faces a second by model."""

    faces_per_second: dict[str, float]


def faces_spared(runs: "Sequence[Run]", caches: Sequence[str]) -> int:
    """Faces that finished trainings took from caches, less those the teacher embedded to fill them; 0 where a cache was
    not worth it."""
    read = sum(_faces_of(run) for run in runs if run.config.reads_teacher)
    return max(0, read - sum(_rows_of(Path(path)) for path in caches))


def saved_text(study: "Study") -> str:
    """The faces spared and, where an evaluation has measured the teacher's pace, its hours; nothing without a cache."""
    spared = faces_spared(study.runs, list(study.caches))
    if not spared:
        return ""
    pace = next((pace for run in study.runs if (pace := _teacher_pace(run.folder))), None)
    faces = f"{spared / 1e6:,.2f} million faces" if spared >= 1e6 else f"{spared:,} faces"
    return f"{duration_text(spared / pace)} ({faces} at {pace:,.0f}/s)" if pace else faces


def _faces_of(run: "Run") -> int:
    try:
        done = read_summary(run.config)
    except UserError:
        return 0
    return done.steps * run.config.train.batch_size * done.ranks


def _rows_of(cache: Path) -> int:
    try:
        manifest = read_manifest(cache)
    except UserError:
        return 0
    layout = layout_of(manifest)
    return 0 if "subset" in manifest else layout.samples * layout.views  # rows cut out cost no teacher anything


def _teacher_pace(folder: Path) -> float | None:
    try:
        paces = read_document(folder / "evaluation" / PACE, _Pace).faces_per_second
    except UserError:
        return None
    return next((pace for model, pace in paces.items() if model.endswith("(teacher)") and pace > 0), None)
