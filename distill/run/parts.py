"""What a run is made of, opened and checked before the first step: faces, cache, order of batches, student, head."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

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
from distill.head import Head, TeacherSpace, build_head, teacher_space
from distill.projection import build_projection, refuse_wider
from distill.run.run_dir import claimed
from distill.run.sources import write_sources
from distill.step import Trainer
from distill.terms import build_terms
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
    if not config.reads_teacher:
        refuse_other_size(source, backbone_size(config.student.network), "the student")
    cache = open_cache(config, root, source, Views.of(config.views)) if config.reads_teacher else None
    order = EpochOrder(config, kept_samples(len(source), cache), rank(), world_size(), source.labels)
    if len(order) == 0:
        raise ConfigError(too_few_text(len(order.samples), config.train.batch_size * world_size()))
    space = teacher_space(config, root, cache, source.num_classes)
    with claimed(config.run_dir, config):
        if rank() == 0:
            write_sources(config, source)
        trainer = new_trainer(config, source, space, device)
        faces = face_batches(config, source, cache, order)
        with (
            reading_ahead(config.train.warm, faces, order) as ahead,
            BatchLoader(faces, ToldOrder(order, ahead), config.train.workers, device) as loader,
        ):
            yield Run(source, order, loader, trainer, ahead)


def face_batches(config: Config, source: FaceSource, cache: CachedTeacher | None, order: EpochOrder) -> FaceBatches:
    """What makes the batches of an order."""
    size, confidence = backbone_size(config.student.network), config.head.geometry == "cached"
    views = Views.of(config.views)
    return FaceBatches(source, views, cache, confidence, size, config.train.verify, order.rows_of_rank)


def too_few_text(samples: int, batch: int) -> str:
    """Why a run of no steps is refused."""
    return f"train.batch_size: {samples:,} faces do not fill one global batch of {batch:,}"


def refuse_mixtures(config: Config) -> None:
    """Raises ConfigError where a loss would read the label of a mixture of two people, which has none.

    With margin_weight = 0 the head's own loss, which does, moves no weight of the student.
    """
    terms = config.terms
    of_labels = terms.relation == "ekd" or (terms.logits != "off" and terms.header is None)
    if not config.views.has_labels and (terms.margin_weight or of_labels):
        raise ConfigError(
            f"views.policy = {config.views.policy!r}: a mixture of two faces has no label: set terms.margin_weight = 0 "
            "beside terms without labels (match, relation = 'rkd', logits with a header), or take other views"
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
    refuse_wider(config.student.embedding_size, cache.dim)
    return cache


def new_trainer(config: Config, source: FaceSource, space: TeacherSpace, device: torch.device) -> Trainer:
    """Student and head as they are before the first step, equal on all ranks."""
    torch.manual_seed(config.train.seed)
    student = build_backbone(config.student.network, config.student.embedding_size)
    head: Head = build_head(config.head, source.num_classes, space.width, config.train.seed)
    projection = build_projection(config.student.embedding_size, space.width)
    if space.start is not None:
        head.centers.weight.copy_(head.shard.share(space.start))
    if config.terms.any:
        head.teach(config.terms, space.targets)
    terms = build_terms(config.terms, config.head.split_classes)
    return Trainer(student, head, config.train, device, world_size(), terms, projection)
