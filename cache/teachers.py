"""Open the teacher of an experiment, and refuse one that evidently does not know faces before a cache is made of it."""

from pathlib import Path

from common.config import Config
from common.errors import ConfigError, DataError
from common.faces import FaceSource
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


def open_teacher(config: Config, root: Path, source: FaceSource, device: str, threads: int) -> FaceModel:
    """The teacher, checked on a few labelled faces when its cache is about to be begun.

    Raises ConfigError when the experiment has none, ModelError when it cannot be had or does not tell people apart.
    """
    if config.teacher is None:
        raise ConfigError(f"{config.name} has no teacher: there is nothing to cache")
    teacher = open_model(config.teacher, root, device, threads)
    refuse_width(config, teacher.dim)
    refuse_other_size(source, teacher.size, "the teacher")
    if config.cache.check_teacher and not config.cache_dir.exists():
        try:
            refuse_evidently_wrong(check_teacher(teacher, *labelled_sample(source)))
        except DataError as error:
            raise DataError(f"{error}; or set cache.check_teacher = false") from None
    return teacher


def refuse_width(config: Config, width: int) -> None:
    """Raises ConfigError when the student that learns from this cache could not, before the teacher has run at all."""
    if config.head.reads_teacher and config.student.embedding_size != width:
        raise ConfigError(
            f"student.embedding_size is {config.student.embedding_size}, but the teacher's embeddings are {width} "
            f"wide: the student lives in its teacher's space, so set it to {width}"
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
