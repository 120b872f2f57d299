"""What leaves a run: a student as a file that opens without further options."""

import json
from typing import Any

from common.backbones import backbone_size
from common.config import Config
from common.files import write_json
from common.models import UNIT_RGB, Preset, first_known, save_weights
from common.runtime import world_size
from distill.run.resume import Progress
from distill.step import Trainer

STUDENT, BEST_STUDENT = "student.safetensors", "best.safetensors"


def export(config: Config, trainer: Trainer, name: str, step: int) -> None:
    """Write the student of this step (the averaged one where the recipe has one) into the run folder."""
    backbone, dim = config.student.network, config.student.embedding_size
    contract = first_known(Preset(backbone, dim, backbone_size(backbone)), UNIT_RGB)
    about = {"experiment": config.name, "head": json.dumps(config.head.model_dump()), "step": step}
    if config.terms.any:
        about["terms"] = json.dumps(config.terms.model_dump())
    save_weights(trainer.exported(), config.run_dir / name, {**contract.to_metadata(), **about})


def write_summary(config: Config, progress: Progress) -> None:
    """What the run took, and its best evaluation."""
    summary: dict[str, Any] = {"seconds": round(progress.seconds, 1), "steps": progress.step, "ranks": world_size()}
    if progress.best is not None:
        summary["best"] = progress.best.model_dump()
    write_json(config.run_dir / "summary.json", summary)
