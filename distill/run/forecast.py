"""What a run will cost: bytes known before it starts, hours once its pace is known."""

from pathlib import Path

from torch import nn

from common.config import Config
from common.errors import UserError
from common.plan import duration_text, free_bytes, size_text


def checkpoint_bytes(config: Config, student: nn.Module, classes: int, width: int) -> int:
    """Size of one checkpoint: weights, momentum, centres, and the averaged weights where the recipe has them.

    width: of the centres.
    """
    weights = sum(p.numel() for p in student.parameters())
    copies = 3 if config.train.ema else 2
    centers = classes * width * (2 if config.head.centers == "learned" else 1)
    return 4 * (copies * weights + centers)


def disk_bytes(config: Config, student: nn.Module, classes: int, width: int) -> int:
    """Most that a run's checkpoints take: those kept, the best, and one being written."""
    kept = config.train.keep_checkpoints + (config.train.best_by is not None)
    return (kept + 1) * checkpoint_bytes(config, student, classes, width)


def refuse_full_disk(folder: Path, needed: int) -> None:
    """Raises UserError when a new run's checkpoints will not fit."""
    if (free := free_bytes(folder)) < needed:
        raise UserError(
            f"{folder}: checkpoints need {size_text(needed)}, {size_text(free)} are free: make room, lower "
            "train.keep_checkpoints, or work on another disk"
        )


def forecast_text(step: int, steps: int, seconds: float, seconds_per_step: float) -> str:
    """The hours of the whole run at a measured pace; `seconds` were taken by the first `step` steps."""
    left = (steps - step) * seconds_per_step
    return (
        f"forecast: {steps:,} steps take {duration_text(seconds + left)} at {seconds_per_step:.3g} s a step, "
        f"{duration_text(left)} of it to come"
    )
