"""Open the teacher of an experiment, and refuse one that evidently does not know faces before a cache is made of it."""

from pathlib import Path

import numpy as np
import torch

from cache.format import read_manifest
from common.config import Config, ModelConfig
from common.errors import ConfigError, DataError
from common.faces import FaceSource, refuse_mixed_sizes
from common.models import (
    FaceModel,
    TeacherReport,
    check_teacher,
    labelled_sample,
    open_model,
    refuse_evidently_wrong,
    refuse_other_size,
    warning_of,
)
from common.output import say
from common.ranks import launched_rank
from common.runtime import has_bfloat16
from common.vectors import unit_rows

LEAST_COSINE = 0.9995
FACES = 1000
BATCH = 64


def open_teacher(config: Config, root: Path, source: FaceSource, device: str, threads: int) -> FaceModel:
    """The teacher, checked on a few labelled faces when its cache is about to be begun.

    Raises ConfigError when the experiment has none, ModelError when it cannot be had or does not tell people apart.
    """
    teacher = open_settled(config, root, source, device, threads)
    refuse_width(config, teacher.dim)
    refuse_other_size(source, teacher.size, "the teacher")
    if config.cache.check_teacher and not config.cache_dir.exists():
        try:
            refuse_evidently_wrong(check_teacher(teacher, *labelled_sample(source)))
        except DataError as error:
            raise DataError(f"{error}; or set cache.check_teacher = false") from None
    return teacher


def open_settled(config: Config, root: Path, source: FaceSource, device: str, threads: int) -> FaceModel:
    """The teacher in the precision of its cache; where that is left open and about to be begun, in bfloat16 if the
    device has it and the teacher's answers are the same: `LEAST_COSINE` on `FACES` of its faces.

    Raises ConfigError when the experiment has none, ModelError when it cannot be had.
    """
    wanted = as_cached(config)
    exact = open_model(wanted, root, device, threads)
    if wanted.precision != "auto" or not has_bfloat16(torch.device(device)) or exact.runtime.get("provider"):
        return exact
    fast = open_model(wanted.model_copy(update={"precision": "bfloat16"}), root, device, threads)
    cosine, faces = least_cosine(exact, fast, source)
    if cosine >= LEAST_COSINE:
        return fast
    if launched_rank() == 0:
        say(
            f"teacher in float32: in bfloat16 its answers on {faces:,} faces have a least cosine of {cosine:.5f} with "
            f"these, {LEAST_COSINE} is wanted"
        )
    return exact


def as_cached(config: Config) -> ModelConfig:
    """The experiment's teacher; where its precision is left open, in that of the cache, if there is one.

    Raises ConfigError when the experiment has none, CacheError for something else in the cache's place.
    """
    if config.teacher is None:
        raise ConfigError(f"{config.name} has no teacher: there is nothing to cache")
    if config.teacher.precision != "auto" or not config.cache_dir.exists():
        return config.teacher
    return config.teacher.model_copy(update={"precision": read_manifest(config.cache_dir)["teacher"]["precision"]})


def least_cosine(one: FaceModel, other: FaceModel, source: FaceSource) -> tuple[float, int]:
    """The least cosine between what two models say of a face, over some from all of a source, and of how many; -1 and
    0 where none decodes."""
    faces = {}
    for sample in np.unique(np.linspace(0, len(source) - 1, FACES, dtype=np.int64)).tolist():
        try:
            faces[sample] = source.rgb(sample)
        except DataError:
            continue  # whether it may be left out is for the build to say
    refuse_mixed_sizes(faces, source.name)
    found, pictures = [-1.0] if not faces else [], list(faces.values())
    for at in range(0, len(pictures), BATCH):
        batch = np.stack(pictures[at : at + BATCH])
        found.append(float((unit_rows(one.embed(batch)) * unit_rows(other.embed(batch))).sum(axis=1).min()))
    return min(found), len(faces)


def refuse_width(config: Config, width: int) -> None:
    """Raises ConfigError when the student that learns from this cache could not, before the teacher has run at all."""
    if config.reads_teacher and config.student.embedding_size > width:
        raise ConfigError(
            f"student.embedding_size is {config.student.embedding_size}, but the teacher's embeddings are {width} "
            f"wide: the student learns in its teacher's space, so set it to {width} or less"
        )


def describe_teacher(teacher: FaceModel, report: TeacherReport | None) -> str:
    """What will be used, as people read it: the model's contract, and how well it separates the training faces."""
    lines = [
        f"  {name:<16}{value}"
        for name, value in {**teacher.describe(), "runtime": teacher.runtime}.items()
        if value is not None
    ]
    if report is None:
        return "\n".join(["teacher", *lines, "  no faces to check it on"])
    lines.append(
        f"  checked on      {report.faces} faces: {report.same_pairs} same, {report.different_pairs} different pairs"
    )
    for what, seen in (("as given", report.given), ("red and blue exchanged", report.swapped)):
        lines.append(
            f"  {what}: cosine {seen.same_mean:.3f} same, {seen.different_mean:.3f} different, "
            f"AUC {seen.auc:.4f}, d' {seen.d_prime:.2f}"
        )
    if (warning := warning_of(report)) is not None:
        lines.append(f"  WARNING: {warning}")
    return "\n".join(["teacher", *lines])
