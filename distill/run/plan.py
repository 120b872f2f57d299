"""What stage two would do: `python -m distill train --check`."""

from pathlib import Path

from cache.several import SeveralCaches, Teachers, open_caches
from common.backbones import backbone_size, build_backbone
from common.config import Config
from common.errors import UserError
from common.faces import Views
from common.models import refuse_other_size
from common.plan import Plan, free_bytes, open_faces, plan_faces, size_text
from distill.batches import kept_samples, steps_in_epoch
from distill.run.forecast import checkpoint_bytes, disk_bytes
from distill.run.parts import open_cache, too_few_text
from distill.schedule import peak_rate


def plan_training(config: Config, root: Path, ranks: int = 1) -> Plan:
    """Faces, cache, steps, learning rate and disk of a run on that many ranks."""
    train, head = config.train, config.head
    plan = Plan(f"stage two of {config.name}: run in {config.run_dir}")
    samples, identities = plan_faces(plan, config, root)
    student = build_backbone(config.student.backbone, config.student.embedding_size)
    parameters = sum(p.numel() for p in student.parameters())
    plan.add("student", f"{config.student.backbone}, {config.student.embedding_size} wide, {parameters:,} parameters")
    plan.add("head", f"margin {head.margin}, centres {head.centers}, geometry {head.geometry}, s {head.s}, m {head.m}")
    cache = _plan_cache(plan, config, root) if head.reads_teacher else None
    if samples:
        samples = len(kept_samples(samples, cache))
        batch = train.batch_size * ranks
        steps = steps_in_epoch(samples, batch)
        if steps == 0:
            plan.missing.append(too_few_text(samples, batch))
        plan.add(
            "steps",
            f"{train.epochs} epochs of {steps:,} = {train.epochs * steps:,}, {_batch_text(train.batch_size, ranks)}",
        )
    scaled = f" (train.lr {train.lr:g} is for a batch of {train.lr_batch})" if train.lr_batch else ""
    plan.add("learning rate", f"{peak_rate(train, ranks):.4g}, schedule {train.schedule}{scaled}")
    if not head.reads_teacher:
        _plan_size(plan, config, root)
    if train.evaluate_every:
        plan.add("evaluation", f"every {train.evaluate_every} epoch(s) on {', '.join(config.evaluate.sets)}")
        gone = [str(root / path) for path in config.evaluate.sets.values() if not (root / path).exists()]
        if len(gone) == len(config.evaluate.sets):
            plan.missing.append(f"sets to evaluate on in training: {', '.join(gone)}")
    if identities:
        one, needed = checkpoint_bytes(config, student, identities), disk_bytes(config, student, identities)
        plan.add("disk", f"{size_text(one)} a checkpoint, up to {size_text(needed)}")
        if (free := free_bytes(config.run_dir)) < needed:
            plan.missing.append(f"room for checkpoints: {size_text(needed)} needed, {size_text(free)} free")
    return plan


def _plan_size(plan: Plan, config: Config, root: Path) -> None:
    """Add that the faces are not of the student's size; of a cache's teacher it is said with the cache."""
    try:
        source = open_faces(config, root)
    except UserError:
        return  # which has been said
    try:
        refuse_other_size(source, backbone_size(config.student.backbone), "the student")
    except UserError as error:
        plan.missing.append(str(error))


def _batch_text(batch: int, ranks: int) -> str:
    return f"global batch {ranks * batch}" + (
        f" (train.batch_size {batch} on each of {ranks} ranks)" if ranks > 1 else ""
    )


def _plan_cache(plan: Plan, config: Config, root: Path) -> Teachers | None:
    """The cache's lines; the cache, where it is there and fits."""
    try:
        source = open_faces(config, root)
    except UserError:
        source = None
    try:
        cache = open_caches(config) if source is None else open_cache(config, root, source, Views.of(config.views))
    except UserError as error:
        plan.missing.append(str(error))
        return None
    plan.add("cache", f"{config.cache_dir}, sealed")
    if isinstance(cache, SeveralCaches):
        agree = ", ".join(f"{cosine:.3f}" for cosine in cache.agreement())
        plan.add("combined with", f"{', '.join(config.cache.also)} by {config.cache.combine}")
        plan.add("teachers agree", f"mean cosine of class centres with the first: {agree} (0 by chance)")
    return None if source is None else cache
