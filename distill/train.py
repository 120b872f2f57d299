"""Stage two: train a student, reading what the teacher said from the cache.

    python -m distill train --config configs/lfw.toml --data DATA
    torchrun --standalone --nproc_per_node=4 -m distill train --config ...

Faces, views and cached f_t flow from the workers through the student into the head. Started again, a run goes on
after its last checkpoint and ends in the same weights (docs/training.md).
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from common.config import Config
from common.plan import duration_text, size_text
from common.runtime import barrier, rank, world_size
from distill.deterministic import deterministic_algorithms
from distill.evaluation import StudentEvaluation
from distill.loading import batches_of
from distill.run import (
    BEST_STUDENT,
    STUDENT,
    Best,
    Console,
    Curves,
    Progress,
    Run,
    Window,
    disk_bytes,
    draw_curves,
    export,
    folded,
    forecast_text,
    line_due,
    opened_run,
    progress_text,
    refuse_full_disk,
    refuse_non_finite,
    resume_run,
    save_progress,
    say,
    write_summary,
    written_or_told,
)
from distill.worker_deaths import worker_deaths_told


def train(config: Config, root: Path, device: torch.device, threads: int) -> Path:
    """Train the student of an experiment to its end; returns the exported weights.

    Raises CacheError when the cache is not one of these faces and views, or pixels are not those the teacher saw;
    ConfigError when the run folder belongs to another configuration; UserError when a number stops being finite, a
    worker dies, another process trains in the run folder, or the disk is full.
    """
    with deterministic_algorithms(config.train.deterministic), opened_run(config, root, device) as run:
        evaluation = StudentEvaluation(config, root) if config.train.evaluate_every else None
        progress = resume_run(config, run.trainer, len(run.order), len(run.order.samples), world_size())
        _announce(config, run, device, threads, progress, evaluation)
        written = Curves(config.run_dir, progress.kept_curves, progress.step) if rank() == 0 else nullcontext()
        with worker_deaths_told(), written as curves, Console() as console:
            if curves is not None:
                curves.describe(config)
            said = Said(config, run, progress, curves, console)
            while progress.step < config.train.epochs * len(run.order):
                _epoch(config, run, said, evaluation)
        if rank() == 0:
            with written_or_told(config.run_dir / STUDENT):
                export(config, run.trainer, STUDENT, progress.step)
                write_summary(config, progress)
        barrier()
    say(f"student in {config.run_dir / STUDENT} after {duration_text(progress.seconds)} of training")
    return config.run_dir / STUDENT


@dataclass
class Said:
    """What a run has said of itself, and where: its numbers go to the curves, where it stands to the console."""

    config: Config
    run: Run
    progress: Progress
    curves: Curves | None  # the first rank's
    console: Console
    loss: float | None = None  # of the last log line
    faces_per_second: float = 0.0

    def where(self) -> str:
        """Where the run stands."""
        epochs, step = self.config.train.epochs, self.progress.step
        steps = epochs * len(self.run.order)
        left = self.progress.seconds / max(step, 1) * (steps - step)
        epoch = max(step - 1, 0) // len(self.run.order) + 1
        return progress_text(step, steps, self.loss, self.faces_per_second, left, epoch, epochs)

    def log(self, window: Window, regular: bool, lasting: bool) -> None:
        """A line for the steps since the last, on the console and in the curves. regular: not one of the first few,
        whose pace says nothing of the run's."""
        taken, progress = len(window), self.progress
        numbers, seconds = window.close(world_size())
        numbers |= {"epoch": progress.step / len(self.run.order), "lr": self.run.trainer.rate()}
        progress.seconds += seconds
        self.loss, self.faces_per_second = numbers["loss"], numbers["faces_per_second"]
        if self.curves is not None:
            self.curves.add(progress.step, numbers)
        self.console.line(self.where(), lasting)
        if regular and not progress.forecast_given:
            steps = self.config.train.epochs * len(self.run.order)
            self.console.say(forecast_text(progress.step, steps, progress.seconds, seconds / taken))
            progress.forecast_given = True


def _epoch(config: Config, run: Run, said: Said, evaluation: StudentEvaluation | None) -> None:
    """The batches that are left of an epoch; at log lines, and at its end, what was learned is shown and saved."""
    trainer, per_epoch, progress, log_every = run.trainer, len(run.order), said.progress, config.train.log_every
    epoch, first = divmod(progress.step, per_epoch)
    run.order.epoch, run.order.first = epoch, first
    window = Window()
    said.console.update(said.where())
    for number, batch in enumerate(window.timed(batches_of(run.loader)), first + 1):
        window.add(batch, trainer.step(batch, progress.step, per_epoch))
        progress.step += 1
        if not line_due(progress.step, number, per_epoch, log_every):
            said.console.update(said.where())
            continue
        refuse_non_finite(window, progress.step, trainer, config.run_dir)
        last = number == per_epoch
        said.log(window, regular=last or number % log_every == 0, lasting=last)
        if last and evaluation is not None and evaluation.due(epoch + 1):
            said.console.clear()
            _evaluate(config, said, evaluation)
        if last or progress.checkpoint_due(config.train.checkpoint_minutes):
            if said.curves is not None:
                said.curves.sync()
            save_progress(config, trainer, progress)


def _evaluate(config: Config, said: Said, evaluation: StudentEvaluation) -> None:
    """Numbers into the curves, and the student exported where they are the best so far."""
    progress, trainer = said.progress, said.run.trainer
    numbers = evaluation.measure(trainer)
    if said.curves is None:
        return
    said.curves.add(progress.step, {"epoch": progress.step / len(said.run.order), **numbers})
    with written_or_told(config.run_dir / "curves.png"):
        draw_curves(config.run_dir, config.name, evaluation.shown(numbers))
    value = evaluation.better(numbers, progress.best)
    if value is not None:
        assert config.train.best_by is not None
        progress.best = Best(step=progress.step, metric=config.train.best_by, value=value)
        with written_or_told(config.run_dir / BEST_STUDENT):
            export(config, trainer, BEST_STUDENT, progress.step)
    best = " (best so far)" if value is not None else ""
    for line in folded(f"evaluation at step {progress.step:,}: {evaluation.text(numbers)}{best}").split("\n"):
        said.console.say(line)


def _announce(
    config: Config,
    run: Run,
    device: torch.device,
    threads: int,
    progress: Progress,
    evaluation: StudentEvaluation | None,
) -> None:
    """What the run is, and what it needs of the disk, before the first step."""
    if evaluation is not None and evaluation.gone:
        say(f"not evaluated in training, for not being there: {', '.join(evaluation.gone)}")
    needed = disk_bytes(config, run.trainer.student, run.source.num_classes)
    if progress.step == 0:
        refuse_full_disk(config.run_dir, needed)
    say(
        f"{config.train.epochs} epochs of {len(run.order):,} steps, {len(run.source):,} faces, "
        f"{run.source.num_classes:,} people"
    )
    say(
        f"{config.student.backbone} on {device}, {world_size()} rank(s), {threads} threads; "
        f"checkpoints take up to {size_text(needed)}"
    )
