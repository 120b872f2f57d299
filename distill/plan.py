"""What stage two would do: `python -m distill train --check`.

Whatever the command refuses before its first step is refused here, by the same functions; then a few batches are timed.
Nothing is written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from cache.several import CachedTeacher, TeacherEnsemble, open_caches
from common.backbones import backbone_size, build_backbone
from common.config import Config
from common.errors import UserError
from common.faces import FaceSource, Views, open_faces
from common.models import refuse_other_size
from common.plan import Plan, duration_text, plan_faces, size_text
from common.runtime import choose_device
from distill.batches import EpochOrder, kept_samples, steps_in_epoch
from distill.calibration import seconds_a_step
from distill.deterministic import deterministic_algorithms
from distill.evaluation import StudentEvaluation
from distill.graph import refuse_graphs
from distill.head import refuse_fewer_classes, teacher_space
from distill.precision import settled
from distill.run import (
    Progress,
    checkpoint_bytes,
    disk_bytes,
    face_batches,
    new_trainer,
    open_cache,
    refuse_full_disk,
    refuse_mixtures,
    refuse_precision,
    refuse_unusable,
    resume_run,
    too_few_text,
)
from distill.schedule import peak_rate
from distill.step import Trainer


def plan_training(config: Config, root: Path, device: str = "auto", ranks: int = 1) -> Plan:
    """Faces, cache, steps, learning rate, disk and hours of a run on that many ranks, and where it would go on."""
    plan = Plan(f"stage two of {config.name}: run in {config.run_dir}")
    where: torch.device | None = None
    with _noted(plan):
        where = choose_device(device)
    with _noted(plan):
        config = settled(config, where or torch.device("cpu"))
        if where is not None:
            refuse_precision(config.train.precision, where)
            refuse_graphs(config, where, ranks)
    with _noted(plan):
        refuse_mixtures(config)
    train, head = config.train, config.head
    samples, identities = plan_faces(plan, config, root)
    with torch.device("meta"):
        student = build_backbone(config.student.network, config.student.embedding_size)
    parameters = sum(p.numel() for p in student.parameters())
    plan.add("student", f"{config.student.network}, {config.student.embedding_size} wide, {parameters:,} parameters")
    plan.add("precision", train.precision)
    plan.add("head", f"margin {head.margin}, centres {head.centers}, geometry {head.geometry}, s {head.s}, m {head.m}")
    if config.terms.any:
        plan.add("loss", config.terms.text)
    source, cache = _faces_and_cache(plan, config, root)
    if cache is not None and cache.dim > config.student.embedding_size:
        plan.add("lifted", f"to the teacher's {cache.dim} while it trains")
    steps = 0
    if samples:
        samples = len(kept_samples(samples, cache))
        batch = train.batch_size * ranks
        steps = steps_in_epoch(samples, batch)
        if steps == 0:
            plan.missing.append(too_few_text(samples, batch))
        of_ranks = f" ({ranks} ranks of {train.batch_size})" if ranks > 1 else ""
        plan.add(
            "steps", f"{train.epochs} epochs of {steps:,} = {train.epochs * steps:,}, global batch {batch}{of_ranks}"
        )
    scaled = f" (train.lr {train.lr:g} is for a batch of {train.lr_batch})" if train.lr_batch else ""
    plan.add("learning rate", f"{peak_rate(train, ranks):.4g}, schedule {train.schedule}{scaled}")
    if train.evaluate_every:
        _plan_evaluation(plan, config, root)
    if identities:
        width = config.student.embedding_size if cache is None else cache.dim
        one, needed = (bytes_of(config, student, identities, width) for bytes_of in (checkpoint_bytes, disk_bytes))
        plan.add("disk", f"{size_text(one)} a checkpoint, up to {size_text(needed)}")
        with _noted(plan):
            if head.split_classes:
                refuse_fewer_classes(identities, ranks)
    with _noted(plan):
        refuse_unusable(config.run_dir, config)
    # Of several ranks the first one prints: it alone builds the network and times it.
    if not plan.missing and source is not None and where is not None and os.environ.get("RANK", "0") == "0":
        with _noted(plan), deterministic_algorithms(train.deterministic):
            _plan_progress(plan, config, root, source, cache, where, ranks, needed)
    return plan


@contextmanager
def _noted(plan: Plan) -> Iterator[None]:
    """What the user has to mend goes into the plan, and the plan goes on."""
    try:
        yield
    except UserError as error:
        plan.missing.append(str(error))


def _faces_and_cache(plan: Plan, config: Config, root: Path) -> tuple[FaceSource | None, CachedTeacher | None]:
    """The faces, and the cache with its lines, where they are there and fit."""
    try:
        source = open_faces(config, root)
    except UserError:  # plan_faces has said it
        source = None
    cache = None
    with _noted(plan):
        if source is not None and not config.reads_teacher:
            refuse_other_size(source, backbone_size(config.student.network), "the student")
        if config.reads_teacher:
            cache = open_caches(config) if source is None else open_cache(config, root, source, Views.of(config.views))
            plan.add("cache", f"{config.cache_dir}, sealed")
    if isinstance(cache, TeacherEnsemble):
        agree = ", ".join(f"{cosine:.3f}" for cosine in cache.agreement())
        plan.add("combined with", ", ".join(config.cache.also))
        plan.add("teachers agree", f"mean cosine of class centres with the first: {agree} (0 by chance)")
    return source, None if source is None else cache


def _plan_evaluation(plan: Plan, config: Config, root: Path) -> None:
    with _noted(plan):
        evaluation = StudentEvaluation(config, root)
        there = [name for name in config.evaluate.sets if str(root / config.evaluate.sets[name]) not in evaluation.gone]
        plan.add("evaluation", f"every {config.train.evaluate_every} epoch(s) on {', '.join(there)}")
        if evaluation.gone:
            plan.add("not evaluated", f"for not being there: {', '.join(evaluation.gone)}")


def _plan_progress(
    plan: Plan,
    config: Config,
    root: Path,
    source: FaceSource,
    cache: CachedTeacher | None,
    device: torch.device,
    ranks: int,
    needed: int,
) -> None:
    """Where the run would go on, and how long what is left takes here."""
    kept = kept_samples(len(source), cache)
    steps = steps_in_epoch(len(kept), config.train.batch_size * ranks)
    trainer = new_trainer(config, source, teacher_space(config, root, cache, source.num_classes), device)
    notes: list[str] = []
    progress = resume_run(config, trainer, steps, len(kept), ranks, notes.append)
    for note in notes[:-1]:  # the last one says where it goes on, as here
        plan.add("note", note)
    left = config.train.epochs * steps - progress.step
    if progress.step == 0:
        refuse_full_disk(config.run_dir, needed)
        plan.add("run", "new")
    elif left <= 0:
        plan.add("run", f"finished after step {progress.step:,}: the command would only export it anew")
        return
    else:
        plan.add("run", f"goes on at step {progress.step + 1:,}")
    _plan_hours(plan, config, source, cache, trainer, progress, left, ranks)


def _plan_hours(
    plan: Plan,
    config: Config,
    source: FaceSource,
    cache: CachedTeacher | None,
    trainer: Trainer,
    progress: Progress,
    left: int,
    ranks: int,
) -> None:
    if config.train.compile:
        plan.add("time", "not measured: train.compile would compile first; the first log lines say it")
        return
    order = EpochOrder(config, kept_samples(len(source), cache), 0, 1, source.labels)
    seconds = seconds_a_step(config, trainer, face_batches(config, source, cache, order), order, progress.step)
    alone = f" of one rank alone, {ranks} share memory and disk" if ranks > 1 else ""
    plan.add("time", f"about {duration_text(left * seconds)} here, {seconds:.3g} s a step{alone}; without evaluation")
