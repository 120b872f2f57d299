"""A training run from outside the step: what it is made of, what it keeps on disk, what it says, what it will cost."""

from distill.run.checkpoints import written_or_told
from distill.run.console import Console, folded, line_due, progress_text, say
from distill.run.curves import Curves
from distill.run.curves_picture import draw_curves
from distill.run.decides import deciding_values
from distill.run.forecast import (
    checkpoint_bytes,
    disk_bytes,
    forecast_text,
    refuse_full_disk,
)
from distill.run.guard import largest_weight, refuse_non_finite
from distill.run.parts import (
    Run,
    face_batches,
    new_trainer,
    open_cache,
    opened_run,
    refuse_mixtures,
    refuse_precision,
    too_few_text,
)
from distill.run.report import Report
from distill.run.resume import Best, Progress, resume_run, save_progress
from distill.run.run_dir import refuse_unusable
from distill.run.sources import SOURCES
from distill.run.students import BEST_STUDENT, STUDENT, export, write_summary
from distill.run.window import Window

__all__ = [
    "BEST_STUDENT",
    "SOURCES",
    "STUDENT",
    "Best",
    "Console",
    "Curves",
    "Progress",
    "Report",
    "Run",
    "Window",
    "checkpoint_bytes",
    "deciding_values",
    "disk_bytes",
    "draw_curves",
    "export",
    "face_batches",
    "folded",
    "forecast_text",
    "largest_weight",
    "line_due",
    "new_trainer",
    "open_cache",
    "opened_run",
    "progress_text",
    "refuse_full_disk",
    "refuse_mixtures",
    "refuse_non_finite",
    "refuse_precision",
    "refuse_unusable",
    "resume_run",
    "save_progress",
    "say",
    "too_few_text",
    "write_summary",
    "written_or_told",
]
