"""What leaves a run: a student as a file that opens without further options, and what its training took."""

import json
import platform
from pathlib import Path
from typing import Any

import torch

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


def write_summary(config: Config, progress: Progress, device: torch.device) -> None:
    """What the run took and was computed with, and its best evaluation."""
    summary: dict[str, Any] = {"seconds": round(progress.seconds, 1), "steps": progress.step, "ranks": world_size()}
    summary["computed_with"] = computed_with(device)
    if progress.best is not None:
        summary["best"] = progress.best.model_dump()
    write_json(config.run_dir / "summary.json", summary)


def computed_with(device: torch.device) -> dict[str, str | int]:
    """Device, threads and versions of this process, as its last one has them."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
