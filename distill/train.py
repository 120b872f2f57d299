"""Stage two: train a student, reading what the teacher said from the cache.

    python -m distill train --config configs/lfw.toml --data DATA
    torchrun --standalone --nproc_per_node=4 -m distill train --config ...

Faces, views and cached f_t flow from the workers through the student into the head. Started again, a run goes on
after its last checkpoint and ends in the same weights (docs/training.md).
"""

from contextlib import nullcontext
from pathlib import Path

import torch

from common.config import Config
from common.plan import duration_text, size_text
from common.runtime import barrier, rank, world_size
from distill.deterministic import deterministic_algorithms
from distill.evaluation import Evaluation
from distill.loading import batches_of
from distill.run import (
    BEST_STUDENT,
    STUDENT,
    Best,
    Curves,
    Progress,
    Run,
    Window,
    disk_bytes,
    export,
    forecast_text,
    numbers_text,
    opened_run,
    refuse_full_disk,
    refuse_non_finite,
    resume_run,
    save_progress,
    say,
    write_summary,
    written_or_told,
)
from distill.step import Trainer
from distill.worker_deaths import worker_deaths_told


def train(config: Config, root: Path, device: torch.device, threads: int) -> Path:
    """Train the student of an experiment to its end; returns the exported weights.

    Raises CacheError when the cache is not one of these faces and views, or pixels are not those the teacher saw;
    ConfigError when the run folder belongs to another configuration; UserError when a number stops being finite, a
    worker dies, another process trains in the run folder, or the disk is full.
    """
    with deterministic_algorithms(config.train.deterministic), opened_run(config, root, device) as run:
        evaluation = Evaluation(config, root) if config.train.evaluate_every else None
        progress = resume_run(config, run.trainer, len(run.order), len(run.order.samples))
        _announce(config, run, device, threads, progress)
        written = Curves(config.run_dir, progress.kept_curves, progress.step) if rank() == 0 else nullcontext()
        with worker_deaths_told(), written as curves:
            while progress.step < config.train.epochs * len(run.order):
                _epoch(config, run, progress, curves, evaluation)
        if rank() == 0:
            with written_or_told(config.run_dir / STUDENT):
                export(config, run.trainer, STUDENT, progress.step)
                write_summary(config, progress)
        barrier()
    say(f"student in {config.run_dir / STUDENT} after {duration_text(progress.seconds)} of training")
    return config.run_dir / STUDENT


def _epoch(config: Config, run: Run, progress: Progress, curves: Curves | None, evaluation: Evaluation | None) -> None:
    """The batches that are left of an epoch; at log lines, and at its end, what was learned is shown and saved."""
    trainer, per_epoch = run.trainer, len(run.order)
    epoch, first = divmod(progress.step, per_epoch)
    run.order.epoch, run.order.first = epoch, first
    window = Window()
    for number, batch in enumerate(window.timed(batches_of(run.loader)), first + 1):
        window.add(batch, trainer.step(batch, progress.step, per_epoch))
        progress.step += 1
        if number < per_epoch and number % config.train.log_every:
            continue
        refuse_non_finite(window, progress.step, trainer, config.run_dir)
        _log(config, trainer, window, progress, per_epoch, curves)
        if number == per_epoch and evaluation is not None and evaluation.due(epoch + 1):
            _evaluate(config, trainer, evaluation, progress, per_epoch, curves)
        if number == per_epoch or progress.checkpoint_due(config.train.checkpoint_minutes):
            if curves is not None:
                curves.sync()
            save_progress(config, trainer, progress)


def _log(
    config: Config, trainer: Trainer, window: Window, progress: Progress, per_epoch: int, curves: Curves | None
) -> None:
    """A line for the steps since the last, on the console and in the curves."""
    taken, steps = len(window), config.train.epochs * per_epoch
    numbers, seconds = window.close(world_size())
    numbers |= {"epoch": progress.step / per_epoch, "lr": trainer.rate()}
    progress.seconds += seconds
    if curves is not None:
        curves.add(progress.step, numbers)
    left = progress.seconds / progress.step * (steps - progress.step)
    where = f"epoch {(progress.step - 1) // per_epoch + 1}/{config.train.epochs} step {progress.step}/{steps}"
    say(f"{where} {numbers_text(numbers)}, {duration_text(left)} left")
    if not progress.forecast_given:
        say(forecast_text(progress.step, steps, progress.seconds, seconds / taken))
        progress.forecast_given = True


def _evaluate(
    config: Config,
    trainer: Trainer,
    evaluation: Evaluation,
    progress: Progress,
    per_epoch: int,
    curves: Curves | None,
) -> None:
    """Numbers into the curves, and the student exported where they are the best so far."""
    numbers = evaluation.measure(trainer)
    if curves is None:
        return
    curves.add(progress.step, {"epoch": progress.step / per_epoch, **numbers})
    value = evaluation.better(numbers, progress.best)
    if value is not None:
        assert config.train.best_by is not None
        progress.best = Best(step=progress.step, metric=config.train.best_by, value=value)
        with written_or_told(config.run_dir / BEST_STUDENT):
            export(config, trainer, BEST_STUDENT, progress.step)
    say(
        f"evaluation at step {progress.step}: {evaluation.text(numbers)}{' (best so far)' if value is not None else ''}"
    )


def _announce(config: Config, run: Run, device: torch.device, threads: int, progress: Progress) -> None:
    """What the run is, and what it needs of the disk, before the first step."""
    needed = disk_bytes(config, run.trainer.student, run.source.num_classes)
    if progress.step == 0:
        refuse_full_disk(config.run_dir, needed)
    say(
        f"{config.student.backbone} on {device}, {world_size()} rank(s), {threads} threads: "
        f"{config.train.epochs} epochs of {len(run.order):,} steps, {len(run.source):,} faces, "
        f"{run.source.num_classes:,} people; checkpoints take up to {size_text(needed)}"
    )
