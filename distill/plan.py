"""What stage two would do: `python -m distill train --check`."""

from pathlib import Path

from cache.several import SeveralCaches, open_caches
from common.backbones import build_backbone
from common.config import Config
from common.errors import UserError
from common.plan import Plan, open_faces, plan_faces, size_text
from common.runtime import world_size
from common.views import Views
from distill.batches import steps_in_epoch
from distill.forecast import checkpoint_bytes, disk_bytes, free_bytes
from distill.run import open_cache
from distill.schedule import peak_rate


def plan_training(config: Config, root: Path) -> Plan:
    """Faces, cache, steps, learning rate and disk of a run."""
    train, head = config.train, config.head
    plan = Plan(f"stage two of {config.name}: run in {config.run_dir}")
    samples, identities = plan_faces(plan, config, root)
    student = build_backbone(config.student.backbone, config.student.embedding_size)
    parameters = sum(p.numel() for p in student.parameters())
    plan.add("student", f"{config.student.backbone}, {config.student.embedding_size} wide, {parameters:,} parameters")
    plan.add("head", f"margin {head.margin}, centres {head.centers}, geometry {head.geometry}, s {head.s}, m {head.m}")
    if head.reads_teacher:
        _plan_cache(plan, config, root)
    if samples:
        batch = train.batch_size * world_size()
        steps = steps_in_epoch(samples, batch)
        plan.add("steps", f"{train.epochs} epochs of {steps:,} = {train.epochs * steps:,}, global batch {batch}")
    plan.add("learning rate", f"{peak_rate(train, world_size()):.4g}, schedule {train.schedule}")
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


def _plan_cache(plan: Plan, config: Config, root: Path) -> None:
    try:
        source = open_faces(config, root)
    except UserError:
        source = None
    try:
        cache = open_caches(config) if source is None else open_cache(config, root, source, Views.of(config.views))
        plan.add("cache", f"{config.cache_dir}, sealed")
        if isinstance(cache, SeveralCaches):
            agree = ", ".join(f"{cosine:.3f}" for cosine in cache.agreement())
            plan.add("combined with", f"{', '.join(config.cache.also)} by {config.cache.combine}")
            plan.add("teachers agree", f"mean cosine of class centres with the first: {agree} (0 by chance)")
    except UserError as error:
        plan.missing.append(str(error))
