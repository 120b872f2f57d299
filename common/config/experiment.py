"""What an experiment file may say: one typed section a table (common/config/file.py reads the file).

Paths in [faces], [teacher] and [evaluate] are relative to the data root; caches/ and runs/ to the working
directory. Unknown keys, wrong types and options without effect in their combination are refused.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from common.config.cache import CacheConfig
from common.config.evaluate import EvaluateConfig
from common.config.faces import FacesConfig
from common.config.head import HeadConfig
from common.config.section import Idle, Section
from common.config.student import StudentConfig
from common.config.teacher import ModelConfig
from common.config.terms import TermsConfig
from common.config.train import TrainConfig
from common.config.views import ViewsConfig


class Config(Section):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
    faces: FacesConfig
    teacher: ModelConfig | None = None
    views: ViewsConfig = ViewsConfig()
    cache: CacheConfig = CacheConfig()
    student: StudentConfig = StudentConfig()
    head: HeadConfig = HeadConfig()
    terms: TermsConfig = TermsConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("teacher", mode="before")
    @classmethod
    def _teacher_in_one_line(cls, value: Any) -> Any:
        return {"weights": value} if isinstance(value, str) else value

    @field_validator("head", mode="before")
    @classmethod
    def _head_in_one_line(cls, value: Any) -> Any:
        return {"recipe": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _teacher_where_needed(self) -> Self:
        if self.terms.any and self.teacher is None:
            raise ValueError("terms read a teacher, but there is none: add teacher, or remove [terms]")
        if self.head.reads_teacher and self.teacher is None:
            raise ValueError("head reads a teacher, but there is none: add teacher, or set head.centers = 'learned'")
        return self

    @model_validator(mode="after")
    def _several_caches_where_read(self) -> Self:
        if self.cache.also and not self.reads_teacher:
            raise Idle("cache.also", "with head and terms that read no teacher")
        return self

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        train, sets = self.train, self.evaluate.sets
        whole = self.faces.subset is None and self.faces.max_per_identity is None
        samples = self.faces.samples if whole else None
        if samples is not None and samples < train.batch_size:
            raise ValueError(f"train.batch_size = {train.batch_size} leaves no step in an epoch of {samples} samples")
        if not self.reads_teacher and train.verify != "sample":
            raise Idle("train.verify", "where head and terms read no teacher")
        if train.evaluate_every and not sets:
            raise ValueError("train.evaluate_every needs evaluate.sets, and there are none")
        if train.best_by is not None and train.best_by.partition(".")[0] not in sets:
            raise ValueError(f"train.best_by = {train.best_by!r} names no set: write SET.METRIC, SET one of {[*sets]}")
        return self

    @model_validator(mode="after")
    def _mixtures_are_whole(self) -> Self:
        """Who is mixed in is drawn among all faces, and without that face there is no view."""
        if not self.views.has_labels and self.faces.subset is not None:
            raise ValueError(f"views.policy = {self.views.policy!r} mixes in any of all faces: remove faces.subset")
        if not self.views.has_labels and self.cache.on_bad_image == "skip":
            raise ValueError(f"views.policy = {self.views.policy!r} needs every face: set cache.on_bad_image = 'fail'")
        return self

    @model_validator(mode="after")
    def _split_gradients_agree(self) -> Self:
        """A loss scaler skips a step where it overflows: with split centres some ranks would, and others not."""
        if self.train.precision == "float16" and self.head.split_classes and self.head.centers == "learned":
            raise ValueError("train.precision = 'float16' does not go with split learned centres: take 'bfloat16'")
        return self

    @property
    def reads_teacher(self) -> bool:
        """Whether a step needs anything from the teacher cache."""
        return self.head.reads_teacher or self.terms.any

    @property
    def cache_dir(self) -> Path:
        """Folder of the teacher cache."""
        return Path(self.cache.path or f"caches/{self.name}")

    @property
    def run_dir(self) -> Path:
        """Folder of the training run."""
        return Path("runs") / self.name
