"""How far a run has come, and how it goes on from its newest checkpoint."""

from dataclasses import dataclass
from pathlib import Path

from common.config import Config
from common.errors import ConfigError
from common.runtime import barrier, rank, world_size
from distill import checkpoints
from distill.console import say
from distill.step import Trainer


@dataclass
class Progress:
    """Steps taken, seconds they took, and the best evaluation (step, value); all but `seconds` decide what comes."""

    step: int = 0
    seconds: float = 0.0
    best: tuple[int, float] | None = None
    saved: float = 0.0  # the seconds at the last checkpoint
    kept_curves: int = 0  # the step up to which curves hold good, in the numbering they were written in
    forecast_given: bool = False

    def checkpoint_due(self, minutes: float) -> bool:
        """Whether a log line writes a checkpoint; the same on all ranks, since windows agree on their seconds."""
        return self.seconds - self.saved >= 60 * minutes


def save(config: Config, trainer: Trainer, progress: Progress) -> None:
    """Write the checkpoint of this step; on all ranks, since each may hold a part of the state."""
    state = trainer.state()
    if rank() == 0:
        about = {
            "step": progress.step,
            "seconds": progress.seconds,
            "best": progress.best,
            "ranks": world_size(),
            "batch_size": config.train.batch_size,
        }
        best = None if progress.best is None else progress.best[0]
        checkpoints.save(folder(config), progress.step, {**about, **state}, config.train.keep_checkpoints, best)
    progress.saved = progress.seconds
    barrier()


def resume(config: Config, trainer: Trainer, steps_in_epoch: int, samples: int) -> Progress:
    """Load the newest checkpoint, or stay at the start.

    Raises ConfigError when the global batch is another one, and not because of the number of ranks.
    """
    state = checkpoints.latest(folder(config), say)
    if state is None:
        return Progress()
    step, ranks, batch_size = state["step"], state["ranks"], state["batch_size"]
    then, now = ranks * batch_size, world_size() * config.train.batch_size
    if then != now:
        if batch_size != config.train.batch_size:
            raise ConfigError(
                f"{config.run_dir}: train.batch_size was {batch_size} on {ranks} rank(s), a global batch of {then}; it "
                f"is {now} now, on {world_size()}: keep the global batch, or give the experiment another name"
            )
        epoch, batches = divmod(step, samples // then)
        step = epoch * steps_in_epoch + min(batches * then // now, steps_in_epoch - 1)
        say(
            f"a global batch of {now} after {then}, on {world_size()} rank(s) after {ranks}: the run goes on at the"
            " same place of its epoch, with the learning rate of the new batch, as another run than it was"
        )
    elif ranks != world_size():
        say(
            f"{world_size()} rank(s) after {ranks}, the same global batches: sums are rounded in another order, and "
            f"BatchNorm sees {'the same rows' if config.train.sync_batchnorm else 'the rows of one rank'}"
        )
    trainer.load_state(state)
    say(f"going on after step {step:,}, epoch {step / steps_in_epoch:.2f} of {config.train.epochs}")
    best = None if state["best"] is None else (state["best"][0], state["best"][1])
    return Progress(step, state["seconds"], best, state["seconds"], state["step"])


def folder(config: Config) -> Path:
    """Where a run's checkpoints are."""
    return config.run_dir / "checkpoints"
