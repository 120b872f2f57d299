"""How many steps a run takes, how long a step is here, and the disk it needs."""

from pathlib import Path

import torch

from common.backbones import build_backbone
from common.config import Config
from common.faces import Views, open_faces
from common.runtime import choose_device
from distill.batches import EpochOrder, kept_samples, steps_in_epoch
from distill.calibration import seconds_a_step
from distill.head import teacher_space
from distill.precision import settled
from distill.run import disk_bytes, face_batches, new_trainer, open_cache


def pace_key(config: Config) -> str:
    """Equal for runs whose steps take as long: what network, batch and arithmetic they have, not which numbers."""
    train, head = config.train, config.head
    parts = train.batch_size, train.precision, train.accumulate, train.ema > 0, train.compile, train.workers
    return (
        f"{config.student} {config.faces} {config.views} {head.centers} {head.sample_rate} {config.terms.text} {parts}"
    )


def steps_of(config: Config, root: Path, ranks: int) -> tuple[int, int]:
    """(steps, bytes of checkpoints) of a whole run; pictures that a cache yet to be built will skip are counted.

    Raises UserError where the faces are not there.
    """
    source = open_faces(config, root)
    there = config.reads_teacher and (config.cache_dir / "zarr.json").exists()
    cache = open_cache(config, root, source, Views.of(config.views)) if there else None
    per_epoch = steps_in_epoch(len(kept_samples(len(source), cache)), config.train.batch_size * ranks)
    with torch.device("meta"):
        student = build_backbone(config.student.network, config.student.embedding_size)
    width = config.student.embedding_size if cache is None else cache.dim
    return config.train.epochs * per_epoch, disk_bytes(config, student, source.num_classes, width)


def calibrated(config: Config, root: Path, device: str) -> float:
    """Seconds of a step on this machine, from a few batches. Raises UserError as a run would before its first step."""
    where = choose_device(device)
    config = settled(config, where)
    source = open_faces(config, root)
    cache = open_cache(config, root, source, Views.of(config.views)) if config.reads_teacher else None
    trainer = new_trainer(config, source, teacher_space(config, root, cache, source.num_classes), where)
    order = EpochOrder(config, kept_samples(len(source), cache), 0, 1, source.labels)
    return seconds_a_step(config, trainer, face_batches(config, source, cache, order), order, 0)
