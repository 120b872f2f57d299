"""What a run is made of, opened and checked before the first step: faces, cache, order of batches, student, head."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cache.format import describe_faces
from cache.several import CachedTeacher, open_caches
from common.backbones import backbone_size, build_backbone
from common.config import Config
from common.disk import ReadAhead
from common.errors import ConfigError
from common.faces import FaceSource, Views, decoder_version, open_faces
from common.models import refuse_other_size
from common.runtime import rank, world_size
from distill.batches import BatchLoader, EpochOrder, FaceBatches, Wanted, kept_samples
from distill.graph import refuse_graphs
from distill.head import Head, build_head, starting_centers
from distill.run.run_dir import claimed
from distill.run.sources import write_sources
from distill.step import Trainer
from distill.warm import ToldOrder, reading_ahead


@dataclass(frozen=True)
class Run:
    """The parts of a run on this rank."""

    source: FaceSource
    order: EpochOrder
    loader: BatchLoader
    trainer: Trainer
    ahead: ReadAhead[Wanted]


@contextmanager
def opened_run(config: Config, root: Path, device: torch.device) -> Iterator[Run]:
    """Open everything, and hold the run folder.

    Raises CacheError when the cache is not one of these faces and views, ConfigError when the run folder belongs to
    another configuration or an option does not work here, UserError when another process trains in it.
    """
    refuse_precision(config.train.precision, device)
    refuse_graphs(config, device, world_size())
    refuse_mixtures(config)
    source = open_faces(config, root)
    if not config.head.reads_teacher:
        refuse_other_size(source, backbone_size(config.student.backbone), "the student")
    cache = open_cache(config, root, source, Views.of(config.views)) if config.head.reads_teacher else None
    order = EpochOrder(config, kept_samples(len(source), cache), rank(), world_size())
    if len(order) == 0:
        raise ConfigError(too_few_text(len(order.samples), config.train.batch_size * world_size()))
    centers = starting_centers(config, root, cache, source.num_classes)
    with claimed(config.run_dir, config):
        if rank() == 0:
            write_sources(config, source)
        trainer = new_trainer(config, source, centers, device)
        faces = face_batches(config, source, cache, order)
        with (
            reading_ahead(config.train.warm, faces, order) as ahead,
            BatchLoader(faces, ToldOrder(order, ahead), config.train.workers, device) as loader,
        ):
            yield Run(source, order, loader, trainer, ahead)


def face_batches(config: Config, source: FaceSource, cache: CachedTeacher | None, order: EpochOrder) -> FaceBatches:
    """What makes the batches of an order."""
    size, confidence = backbone_size(config.student.backbone), config.head.geometry == "cached"
    views = Views.of(config.views)
    return FaceBatches(source, views, cache, confidence, size, config.train.verify, order.rows_of_rank)


def too_few_text(samples: int, batch: int) -> str:
    """Why a run of no steps is refused."""
    return f"train.batch_size: {samples:,} faces do not fill one global batch of {batch:,}"


def refuse_mixtures(config: Config) -> None:
    """Raises ConfigError where a head would be told that a mixture of two people is one of them."""
    if not config.views.has_labels:
        raise ConfigError(
            f"views.policy = {config.views.policy!r}: a mixture of two faces has no label, and the head of [head] is "
            "taught by labels: take other views"
        )


def refuse_precision(precision: str, device: torch.device) -> None:
    """Raises ConfigError for float16 on a CPU, where the range of a BatchNorm's sums is too small."""
    if precision == "float16" and device.type == "cpu":
        raise ConfigError("train.precision = 'float16' needs a GPU: on a CPU take 'bfloat16' or 'float32'")


def open_cache(config: Config, root: Path, source: FaceSource, views: Views) -> CachedTeacher:
    """The experiment's cache or caches, refused unless its faces, views, pixels and teacher are the experiment's."""
    cache = open_caches(config)
    height, width = cache.manifest["teacher"]["size"]
    refuse_other_size(source, (height, width), "the teacher")
    cache.require(describe_faces(source), views.describe(), decoder_version())
    if config.teacher is not None:
        cache.require_teacher(config.teacher, root)
    kept = cache.manifest["confidence"]
    if config.head.geometry == "cached" and kept != config.cache.confidence:
        raise ConfigError(
            f"cache.confidence is {config.cache.confidence!r}, but {cache.path} keeps {kept!r}, which head.geometry = "
            f"'cached' would read: set it to {kept!r}, or build another cache"
        )
    if cache.dim != config.student.embedding_size:
        raise ConfigError(
            f"student.embedding_size is {config.student.embedding_size}, but the teacher's embeddings in {cache.path} "
            f"are {cache.dim} wide: the student lives in its teacher's space, so set it to {cache.dim}"
        )
    return cache


def new_trainer(config: Config, source: FaceSource, centers: Tensor | None, device: torch.device) -> Trainer:
    """Student and head as they are before the first step, equal on all ranks. centers: (C,D), None for random ones."""
    torch.manual_seed(config.train.seed)
    student = build_backbone(config.student.backbone, config.student.embedding_size)
    head: Head = build_head(config.head, source.num_classes, config.student.embedding_size, config.train.seed)
    if centers is not None:
        head.centers.weight.copy_(head.shard.share(centers))
    return Trainer(student, head, config.train, device, world_size())
