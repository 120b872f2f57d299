"""How far a run has come, and how it goes on from its newest checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from common.config import Config, Positive
from common.errors import ConfigError, DataError
from common.runtime import barrier, rank, world_size
from distill.run import checkpoints
from distill.run.console import say
from distill.run.state_file import write_state
from distill.step import Trainer


class Best(BaseModel):
    """The best evaluation of a run: of what, how good, and after which step."""

    model_config = ConfigDict(strict=True, frozen=True)

    step: Positive
    metric: str
    value: Annotated[float, Field(allow_inf_nan=False)]


class Saved(BaseModel):
    """What a checkpoint says of itself, beside the parts of the trainer's state."""

    model_config = ConfigDict(strict=True, frozen=True)

    step: Positive
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    best: Best | None
    ranks: Positive
    batch_size: Positive


@dataclass
class Progress:
    """Steps taken, seconds they took, and the best evaluation; all but `seconds` decide what comes."""

    step: int = 0
    seconds: float = 0.0
    best: Best | None = None
    saved: float = 0.0  # the seconds at the last checkpoint
    kept_curves: float = 0.0  # the epochs up to which curves hold good
    forecast_given: bool = False

    def checkpoint_due(self, minutes: float) -> bool:
        """Whether a log line writes a checkpoint; the same on all ranks, since windows agree on their seconds."""
        return self.seconds - self.saved >= 60 * minutes


def save_progress(config: Config, trainer: Trainer, progress: Progress) -> None:
    """Write the checkpoint of this step; on all ranks, since each may hold a part of the state."""
    state = trainer.state()
    if rank() == 0:
        about = Saved(
            step=progress.step,
            seconds=progress.seconds,
            best=progress.best,
            ranks=world_size(),
            batch_size=config.train.batch_size,
        )
        best = progress.best is not None and progress.best.step == progress.step
        state = {**about.model_dump(), **state}
        checkpoints.save(folder(config), progress.step, state, config.train.keep_checkpoints, best)
    else:
        write_state(state, None)
    progress.saved = progress.seconds
    barrier()


def resume_run(
    config: Config,
    trainer: Trainer,
    steps_in_epoch: int,
    samples: int,
    ranks_now: int,
    tell: Callable[[str], None] = say,
) -> Progress:
    """Load the newest checkpoint, or stay at the start. tell: called with what is worth knowing, a line each.

    Raises ConfigError when the global batch is another one, and not because of the number of ranks; DataError for a
    checkpoint of another network.
    """
    state = checkpoints.latest(folder(config), lambda state: _check(state, trainer), tell)
    if state is None:
        return Progress()
    saved = _about(state)
    step, best, ranks, batch_size = saved.step, saved.best, saved.ranks, saved.batch_size
    then, now = ranks * batch_size, ranks_now * config.train.batch_size
    before = samples // then  # steps of an epoch
    if then != now:
        if batch_size != config.train.batch_size:
            raise ConfigError(
                f"{config.run_dir}: train.batch_size was {batch_size} on {ranks} rank(s), a global batch of {then}; it "
                f"is {now} now, on {ranks_now}: keep the global batch, or give the experiment another name"
            )
        epoch, batches = divmod(step, before)
        step = epoch * steps_in_epoch + min(batches * then // now, steps_in_epoch - 1)
        if best is not None:  # evaluations are at ends of epochs
            best = best.model_copy(update={"step": best.step // before * steps_in_epoch})
        tell(
            f"a global batch of {now} after {then}, on {ranks_now} rank(s) after {ranks}: the run goes on at the"
            " same place of its epoch, with the learning rate of the new batch, as another run than it was"
        )
    elif ranks != ranks_now:
        tell(
            f"{ranks_now} rank(s) after {ranks}, the same global batches: sums are rounded in another order, and "
            f"BatchNorm sees {'the same rows' if config.train.sync_batchnorm else 'the rows of one rank'}"
        )
    try:
        trainer.load_state(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(
            f"{folder(config)}: the newest checkpoint is of another network ({checkpoints.first_line(error)}): give "
            "the experiment another name, or remove the folder"
        ) from error
    tell(f"going on after step {step:,}, epoch {step / steps_in_epoch:.2f} of {config.train.epochs}")
    return Progress(step, saved.seconds, best, saved.seconds, saved.step / before)


def folder(config: Config) -> Path:
    """Where a run's checkpoints are."""
    return config.run_dir / "checkpoints"


def _about(state: dict[str, Any]) -> Saved:
    return Saved.model_validate({name: state[name] for name in Saved.model_fields})


def _check(state: Any, trainer: Trainer) -> None:
    """Raises ValueError, or what pydantic makes of it, for what is no checkpoint."""
    if not isinstance(state, dict):
        raise ValueError(f"a {type(state).__name__} instead of a state")
    gone = [name for name in (*Saved.model_fields, *trainer.parts()) if name not in state]
    if gone:
        raise ValueError(f"without {', '.join(gone)}")
    wrong = [name for name in trainer.parts() if not isinstance(state[name], dict)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} of a wrong type")
    _about(state)
