"""Stage two: train a student, reading what the teacher said from the cache.

    python -m distill train --config configs/lfw.toml --data DATA
    torchrun --standalone --nproc_per_node=4 -m distill train --config ...

Faces, views and cached f_t flow from the workers through the student into the head. Started again, a run goes on
after its last checkpoint and ends in the same weights.
"""

import json
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from cache.reader import TeacherCache
from cache.store import describe_faces
from common.backbones import backbone_size, build_backbone
from common.config import Config
from common.errors import ConfigError
from common.files import write_json
from common.pixels import decoder_version
from common.plan import open_faces
from common.presets import UNIT_RGB, Preset, first_known
from common.runtime import barrier, rank, world_size
from common.sources import FaceSource
from common.views import Views
from common.weights import save_weights
from distill import checkpoints
from distill.batches import EpochOrder, FaceBatches, batch_loader
from distill.curves import Curves
from distill.head import Head, build_head
from distill.run_dir import claim
from distill.step import Trainer
from distill.window import Window

STUDENT = "student.safetensors"


def train(config: Config, root: Path, device: torch.device, threads: int) -> Path:
    """Train the student of an experiment to its end; returns the exported weights.

    Raises CacheError when the cache is not one of these faces and views, ConfigError when the run folder belongs to
    another configuration, UserError when the loss stops being finite.
    """
    source = open_faces(config, root)
    views = Views.of(config.views)
    cache = open_cache(config, root, source, views) if config.head.reads_teacher else None
    claim(config.run_dir, config)
    trainer = _new_trainer(config, source, cache, device)
    order = EpochOrder(config, len(source), rank(), world_size())
    if len(order) == 0:
        batch = config.train.batch_size * world_size()
        raise ConfigError(f"train.batch_size: {len(source)} faces do not fill one global batch of {batch}")
    reads_confidence = config.head.geometry == "cached"
    faces = FaceBatches(source, views, cache, reads_confidence, backbone_size(config.student.backbone))
    loader = batch_loader(faces, order, config.train.workers, pin=device.type == "cuda")

    done, seconds = _resume(config, trainer)
    steps = config.train.epochs * len(order)
    say(
        f"{config.student.backbone} on {device}, {world_size()} rank(s), {threads} threads: "
        f"{config.train.epochs} epochs of {len(order):,} steps, {len(source):,} faces, {source.num_classes:,} people"
    )
    curves = Curves(config.run_dir, done * len(order)) if rank() == 0 else None
    for epoch in range(done, config.train.epochs):
        order.epoch = epoch
        seconds = _epoch(loader, trainer, config, epoch, steps, curves, seconds)
        if rank() == 0:
            state = {"epochs": epoch + 1, "ranks": world_size(), "seconds": seconds, **trainer.state()}
            keep = config.train.keep_checkpoints
            checkpoints.save(config.run_dir / "checkpoints", (epoch + 1) * len(order), state, keep)
        barrier()
    if curves is not None:
        curves.close()
        _export(config, trainer, seconds, steps)
    barrier()
    say(f"student in {config.run_dir / STUDENT} after {seconds / 60:,.1f} minutes of training")
    return config.run_dir / STUDENT


def open_cache(config: Config, root: Path, source: FaceSource, views: Views) -> TeacherCache:
    """The experiment's cache, refused unless its faces, views, pixels and teacher are the experiment's."""
    cache = TeacherCache(config.cache_dir)
    cache.require(describe_faces(source), views.describe(), decoder_version())
    if config.teacher is not None:
        cache.require_teacher(config.teacher, root)
    if cache.dim != config.student.embedding_size:
        raise ConfigError(
            f"student.embedding_size is {config.student.embedding_size}, but the teacher's embeddings in {cache.path} "
            f"are {cache.dim} wide: the student lives in its teacher's space, so set it to {cache.dim}"
        )
    return cache


def _new_trainer(config: Config, source: FaceSource, cache: TeacherCache | None, device: torch.device) -> Trainer:
    """Student and head as they are before the first step, equal on all ranks."""
    torch.manual_seed(config.train.seed)
    student = build_backbone(config.student.backbone, config.student.embedding_size)
    head: Head = build_head(config.head, source.num_classes, config.student.embedding_size)
    if config.head.centers == "frozen" or config.head.start == "cache":
        assert cache is not None
        head.centers.weight.copy_(torch.from_numpy(cache.centers))
    return Trainer(student, head, config.train, device, world_size())


def _resume(config: Config, trainer: Trainer) -> tuple[int, float]:
    """(epochs done, seconds they took) of the newest checkpoint, or of the start."""
    state = checkpoints.latest(config.run_dir / "checkpoints")
    if state is None:
        return 0, 0.0
    trainer.load_state(state)
    if state["ranks"] != world_size():
        say(f"going on with {world_size()} ranks after {state['ranks']}: right, but not bit for bit the same run")
    say(f"going on after epoch {state['epochs']} of {config.train.epochs}")
    return state["epochs"], state["seconds"]


def _epoch(
    loader: DataLoader, trainer: Trainer, config: Config, epoch: int, steps: int, curves: Curves | None, seconds: float
) -> float:
    """All batches of an epoch, with a line of means every `log_every` steps; returns the run's seconds so far."""
    window, per_epoch = Window(), len(loader)
    for number, batch in enumerate(window.timed(loader), 1):
        step = epoch * per_epoch + number
        window.add(batch, trainer.step(batch, step - 1, per_epoch))
        if number == per_epoch or number % config.train.log_every == 0:
            numbers, took = window.close(step, world_size())
            numbers["lr"] = trainer.rate()
            seconds += took
            if curves is not None:
                curves.add(step, numbers)
            left = seconds / step * (steps - step)
            where = f"epoch {epoch + 1}/{config.train.epochs} step {step}/{steps}"
            say(f"{where} {_text(numbers)}, {left / 60:,.1f} min left")
    return seconds


def _text(numbers: dict[str, float]) -> str:
    shown = ("loss", "lr", "alpha", "lam", "cos_st", "margin_scaler", "geometry", "norm", "gradient_norm")
    text = " ".join(f"{name} {numbers[name]:.4g}" for name in shown if name in numbers)
    return f"{text} | {numbers['faces_per_second']:,.0f} faces/s, wait {numbers['data_wait']:.0%}"


def _export(config: Config, trainer: Trainer, seconds: float, steps: int) -> None:
    """The student as a file that opens without further options, and what the run took."""
    backbone, dim = config.student.backbone, config.student.embedding_size
    contract = first_known(Preset(backbone, dim, backbone_size(backbone)), UNIT_RGB)
    metadata = {**contract.to_metadata(), "experiment": config.name, "head": json.dumps(config.head.model_dump())}
    save_weights(trainer.student, config.run_dir / STUDENT, metadata)
    write_json(config.run_dir / "summary.json", {"seconds": round(seconds, 1), "steps": steps, "ranks": world_size()})


def say(text: str) -> None:
    """A line from the first rank."""
    if rank() == 0:
        print(text, flush=True)
