"""Stage two: train a student, reading what the teacher said from the cache.

    python -m distill train --config configs/lfw.toml --data DATA
    torchrun --standalone --nproc_per_node=4 -m distill train --config ...

Faces, views and cached f_t flow from the workers through the student into the head. Started again, a run goes on
after its last checkpoint and ends in the same weights (docs/training.md).
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch

from common.config import Config
from common.plan import duration_text, size_text
from common.runtime import barrier, rank, world_size
from distill.batches import TrainingBatch
from distill.deterministic import deterministic_algorithms
from distill.evaluation import StudentEvaluation
from distill.precision import settled
from distill.run import (
    BEST_STUDENT,
    STUDENT,
    Best,
    Console,
    Curves,
    Progress,
    Report,
    Run,
    Window,
    disk_bytes,
    draw_curves,
    export,
    folded,
    forecast_text,
    largest_weight,
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


def train(config: Config, root: Path, device: torch.device, threads: int) -> Path:
    """Train the student of an experiment to its end; returns the exported weights.

    Raises CacheError when the cache is not one of these faces and views, or pixels are not those the teacher saw;
    ConfigError when the run folder belongs to another configuration; UserError when a number stops being finite, a
    worker dies, another process trains in the run folder, or the disk is full.
    """
    config = settled(config, device)
    with deterministic_algorithms(config.train.deterministic), opened_run(config, root, device) as run:
        evaluation = StudentEvaluation(config, root) if config.train.evaluate_every else None
        progress = resume_run(config, run.trainer, len(run.order), len(run.order.samples), world_size())
        _announce(config, run, device, threads, progress, evaluation)
        written = Curves(config.run_dir, progress.kept_curves, progress.step) if rank() == 0 else nullcontext()
        with written as curves, Console() as console:
            if curves is not None:
                curves.describe(config)
            barrier()
            said = Said(config, run, progress, curves, console)
            batches = run.loader.from_step(progress.step)
            while progress.step < config.train.epochs * len(run.order):
                _epoch(config, run, said, evaluation, batches)
        if rank() == 0:
            with written_or_told(config.run_dir / STUDENT):
                export(config, run.trainer, STUDENT, progress.step)
                write_summary(config, progress, device)
        barrier()
    say(f"student in {config.run_dir / STUDENT} after {duration_text(progress.seconds)} of training")
    return config.run_dir / STUDENT


class Line(NamedTuple):
    """A log line whose numbers were asked for."""

    report: Report
    rate: float
    regular: bool  # not one of the first few, whose pace says nothing of the run's
    lasting: bool


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
    asked: Line | None = None

    def where(self, step: int) -> str:
        """Where the run stands after a step."""
        epochs = self.config.train.epochs
        steps = epochs * len(self.run.order)
        left = self.progress.seconds / max(step, 1) * (steps - step)
        epoch = max(step - 1, 0) // len(self.run.order) + 1
        return progress_text(step, steps, self.loss, self.faces_per_second, left, epoch, epochs)

    def ask(self, window: Window, regular: bool, lasting: bool) -> None:
        """Ask for the line of the steps since the last, without waiting for them."""
        trainer = self.run.trainer
        report = window.close(self.progress.step, largest_weight(trainer), world_size())
        self.asked = Line(report, trainer.rate(), regular, lasting)

    def write(self) -> None:
        """The line that was asked for, on the console and in the curves; there is none where its numbers are not
        finite: raises UserError. To be called on all ranks after the same step."""
        if self.asked is None:
            return
        (report, rate, regular, lasting), self.asked, progress = self.asked, None, self.progress
        refuse_non_finite(report, progress.step, self.run.trainer, self.config.run_dir)
        numbers, seconds = report.numbers()
        numbers |= {"epoch": report.last_step / len(self.run.order), "lr": rate}
        progress.seconds += seconds
        self.loss, self.faces_per_second = numbers["loss"], numbers["faces_per_second"]
        if self.curves is not None:
            self.curves.add(report.last_step, numbers)
        self.console.line(self.where(report.last_step), lasting)
        if regular and not progress.forecast_given:
            steps = self.config.train.epochs * len(self.run.order)
            self.console.say(forecast_text(report.last_step, steps, progress.seconds, seconds / report.steps))
            progress.forecast_given = True


def _epoch(
    config: Config, run: Run, said: Said, evaluation: StudentEvaluation | None, batches: Iterator[TrainingBatch]
) -> None:
    """The batches that are left of an epoch; at log lines, and at its end, what was learned is shown and saved.

    A line's numbers are waited for when the step after it is on the device, so that the device never waits for them;
    before a checkpoint at once, for it must not keep what nobody has looked at.
    """
    trainer, per_epoch, progress, log_every = run.trainer, len(run.order), said.progress, config.train.log_every
    epoch, first = divmod(progress.step, per_epoch)
    window = Window()
    said.console.update(said.where(progress.step))
    for number, batch in enumerate(window.timed(islice(batches, per_epoch - first)), first + 1):
        window.add(batch, trainer.step(batch, progress.step, per_epoch))
        progress.step += 1
        for line in (*run.ahead.news(), *(said.curves.news() if said.curves is not None else ())):
            said.console.say(line)
        said.write()
        if not line_due(progress.step, number, per_epoch, log_every):
            said.console.update(said.where(progress.step))
            continue
        last = number == per_epoch
        said.ask(window, regular=last or number % log_every == 0, lasting=last)
        if not last and not progress.checkpoint_due(config.train.checkpoint_minutes):
            continue
        said.write()
        if last and evaluation is not None and evaluation.due(epoch + 1):
            said.console.clear()
            _evaluate(config, said, evaluation)
        if said.curves is not None:
            said.curves.sync()
        save_progress(config, trainer, progress)


def _evaluate(config: Config, said: Said, evaluation: StudentEvaluation) -> None:
    """Measure the student; the first rank keeps the numbers while the others wait."""
    numbers = evaluation.measure(said.run.trainer)
    if said.curves is not None:
        _keep(config, said, said.curves, evaluation, numbers)
    barrier()


def _keep(config: Config, said: Said, curves: Curves, evaluation: StudentEvaluation, numbers: dict[str, float]) -> None:
    """Numbers into the curves, and the student exported where they are the best so far."""
    progress, trainer = said.progress, said.run.trainer
    curves.add(progress.step, {"epoch": progress.step / len(said.run.order), **numbers})
    curves.sync()
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
    needed = disk_bytes(config, run.trainer.student, run.source.num_classes, run.trainer.head.centers.weight.shape[1])
    if progress.step == 0:
        refuse_full_disk(config.run_dir, needed)
    say(
        f"{config.train.epochs} epochs of {len(run.order):,} steps, {len(run.source):,} faces, "
        f"{run.source.num_classes:,} people"
    )
    say(f"{config.student.network} in {config.train.precision} on {device}, {world_size()} rank(s), {threads} threads")
    say(f"checkpoints take up to {size_text(needed)}")
