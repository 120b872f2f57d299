"""What a training run keeps on disk and what it says: folder, checkpoints, curves, console, forecast, plan."""

from distill.run.checkpoints import written_or_told
from distill.run.console import numbers_text, say
from distill.run.curves import Curves
from distill.run.forecast import disk_bytes, forecast_text, refuse_full_disk
from distill.run.guard import refuse_non_finite
from distill.run.parts import Run, new_trainer, opened_run
from distill.run.plan import plan_training
from distill.run.resume import Best, Progress, resume_run, save_progress
from distill.run.students import BEST_STUDENT, STUDENT, export, write_summary
from distill.run.window import Window

__all__ = [
    "BEST_STUDENT",
    "STUDENT",
    "Best",
    "Curves",
    "Progress",
    "Run",
    "Window",
    "disk_bytes",
    "export",
    "forecast_text",
    "new_trainer",
    "numbers_text",
    "opened_run",
    "plan_training",
    "refuse_full_disk",
    "refuse_non_finite",
    "resume_run",
    "save_progress",
    "say",
    "write_summary",
    "written_or_told",
]
