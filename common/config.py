"""What an experiment file may say: one typed section a table (common/config_file.py reads the file).

Paths in [faces], [teacher] and [evaluate] are relative to the data root; caches/ and runs/ to the working
directory. Unknown keys, wrong types and options without effect in their combination are refused.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from common.recipes import RECIPES

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["float32", "bfloat16", "float16"]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def _refuse_idle(self, fields: Iterable[str], because: str) -> None:
        """An option that was changed but cannot have an effect is an error, not silence."""
        for name in fields:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect {because}: remove it")


class FacesConfig(Section):
    """Training faces: a RecordIO folder or a folder of identity folders."""

    path: str
    max_per_identity: Positive | None = None
    subset: str | None = Field(None, description="cache that `python -m cache subset` cut out: its people only")
    samples: Positive | None = Field(None, description="images expected; another number on disk is refused")
    identities: Positive | None = Field(None, description="identities expected; another number is refused")
    origin: str | None = Field(None, description="where to get the faces, said when they are missing")


class ModelConfig(Section):
    """A face model: whose weights, which network, and what the network wants to see.

    Only `weights` is needed for models that carry or are known by their preset; every other field overrides.
    """

    weights: str
    revision: str | None = None
    sha256: str | None = None
    architecture: str | None = None
    embedding_size: Positive | None = None
    size: tuple[int, int] | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    mean: float | None = None
    std: float | None = None
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False


# Policies that have a number of views of their own; the others take as many as wanted.
VIEWS_OF_POLICY = {"none": 1, "flip": 2}
DEFAULT_VIEWS = 8
# The operations of the `adaface` policies: the probability of each, and what has no effect without it.
OPERATIONS = {
    "crop_probability": ("crop_area", "crop_aspect"),
    "photometric_probability": ("brightness", "contrast", "saturation"),
    "low_resolution_probability": ("low_resolution_side",),
}


class ViewsConfig(Section):
    """Which pictures of a face the teacher and the student see.

    The operations of `adaface` are those of common/augment.py, with the recipe's values as defaults (Kim et al.,
    AdaFace, CVPR 2022, supplement). Ranges are (least, greatest); brightness, contrast and saturation are the greatest
    departure of their factor from 1.
    """

    policy: Literal["none", "flip", "adaface", "flip+adaface"] = "flip"
    seed: int = Field(0, ge=0, lt=2**63)
    count: Annotated[int, Field(gt=0, le=2**30)] | None = Field(
        None, description="views a sample: `none` has 1 and `flip` has 2; the others as many as wanted, 8 unless said"
    )
    order: Literal["random", "cycle"] = "random"
    crop_probability: Fraction = 0.2
    crop_area: tuple[PositiveFraction, PositiveFraction] = (0.2, 1.0)
    crop_aspect: tuple[PositiveFraction, Annotated[float, Field(ge=1, le=100)]] = (3 / 4, 4 / 3)
    photometric_probability: Fraction = 0.2
    brightness: Fraction = 0.5
    contrast: Fraction = 0.5
    saturation: Fraction = 0.5
    low_resolution_probability: Fraction = 0.2
    low_resolution_side: tuple[PositiveFraction, PositiveFraction] = (0.2, 1.0)

    @property
    def number(self) -> int:
        """V, the number of views of a sample."""
        return self.count or VIEWS_OF_POLICY.get(self.policy, DEFAULT_VIEWS)

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        fixed = VIEWS_OF_POLICY.get(self.policy)
        if fixed is not None:
            if self.count not in (None, fixed):
                raise ValueError(f"count = {self.count}: policy {self.policy!r} has exactly {fixed}")
            for probability, ranges in OPERATIONS.items():
                self._refuse_idle((probability, *ranges), f"with policy = {self.policy!r}")
            return self
        for probability, ranges in OPERATIONS.items():
            if getattr(self, probability) == 0:
                self._refuse_idle(ranges, f"with {probability} = 0")
        if not any(getattr(self, probability) for probability in OPERATIONS):
            raise ValueError("policy does nothing with all its probabilities at 0: take 'none' or 'flip'")
        for name in ("crop_area", "low_resolution_side"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise ValueError(f"{name} is (least, greatest), not ({least}, {greatest})")
        return self


class CacheConfig(Section):
    """Where the teacher cache lies, how it is cut, and what a sample's teacher confidence is.

    confidence: cosine with the class centre, or with the centre of the class without the sample itself.
    also: caches of further teachers to learn from; combine: all of them in every step, or one an epoch.
    """

    path: str | None = None
    also: tuple[str, ...] = ()
    combine: Literal["mean", "epoch"] = "mean"
    dtype: Literal["float32", "float16", "int8"] = "float16"
    confidence: Literal["center", "leave_one_out"] = "center"
    on_bad_image: Literal["fail", "skip"] = "fail"
    shard_rows: Positive = 16384
    chunk_rows: Positive = 1024
    batch_size: Positive = 64
    workers: Annotated[int, Field(ge=0)] = 1
    check_teacher: bool = True

    @model_validator(mode="after")
    def _chunks_fill_shards(self) -> Self:
        if self.shard_rows % self.chunk_rows:
            raise ValueError(f"shard_rows ({self.shard_rows}) must be a multiple of chunk_rows ({self.chunk_rows})")
        return self

    @model_validator(mode="after")
    def _one_cache_needs_no_rule(self) -> Self:
        if not self.also:
            self._refuse_idle(("combine",), "without cache.also")
        return self


class StudentConfig(Section):
    """The network that is trained."""

    backbone: str = "mobilefacenet"
    embedding_size: Positive = 512


class HeadConfig(Section):
    """Margin x class centres x geometry; the maths is in docs/method.md.

    recipe: a published point of this grid by name (common/recipes.py); values given beside it override it.
    s, m: scale and margin. h, t_alpha: AdaFace's concentration and the rate of its norm statistics.
    alpha: how far a distilled centre keeps its place: `weighted` cos(f_s,f_t) * lam, `adaptive` cos(f_s,f_t),
    `fixed` the number in `momentum`. geometry_w, _k, _warmup (epochs): weight, sensitivity and warm-up of the geometry
    term. start: distilled centres begin as small random columns, or at the cache's class centres.
    header: file of frozen centres below the data root, instead of the cache's.
    precision: of the matrix products. logits_mib: logits of a step that take more are formed twice, block by block,
    instead of kept. split_classes: every rank holds its part of the centres. sample_rate: part of the classes that
    a step's softmax runs over (Partial FC).
    """

    recipe: str | None = None
    margin: Literal["none", "arcface", "cosface", "adaface"] = "adaface"
    centers: Literal["distilled", "frozen", "learned"] = "distilled"
    geometry: Literal["off", "live", "cached"] = "off"
    s: Annotated[float, Field(gt=0)] = 64.0
    m: Annotated[float, Field(ge=0)] = 0.4
    h: float = 0.333
    t_alpha: Fraction = 0.01
    norm_mean: float = 20.0
    norm_std: Annotated[float, Field(gt=0)] = 100.0
    alpha: Literal["weighted", "adaptive", "fixed"] = "weighted"
    momentum: Fraction = 0.9
    start: Literal["random", "cache"] = "random"
    header: str | None = None
    geometry_w: float = 1.0
    geometry_k: float = 3.0
    geometry_warmup: Annotated[float, Field(ge=0)] = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    logits_mib: Annotated[int, Field(ge=0)] = 1024
    split_classes: bool = False
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _recipe_below_values(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("recipe") is None:
            return values
        if values["recipe"] not in RECIPES:
            raise ValueError(f"recipe {values['recipe']!r} is unknown; known are {', '.join(RECIPES)}")
        return {**RECIPES[values["recipe"]], **values}

    @property
    def reads_teacher(self) -> bool:
        """Whether a step needs anything from the teacher cache."""
        own_centers = self.centers == "learned" or self.header is not None
        return not own_centers or self.geometry != "off"

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        if self.margin != "adaface":
            self._refuse_idle(("h", "t_alpha", "norm_mean", "norm_std"), f"with margin = {self.margin!r}")
            if self.geometry != "off":
                raise ValueError(f"geometry = {self.geometry!r} needs margin = 'adaface', whose scaler it changes")
        if self.margin == "none":
            self._refuse_idle(("m",), "with margin = 'none'")
        if self.centers != "distilled":
            self._refuse_idle(("alpha", "start"), f"with centers = {self.centers!r}")
        if self.centers != "frozen":
            self._refuse_idle(("header",), f"with centers = {self.centers!r}: it holds frozen ones")
        if self.centers != "distilled" or self.alpha != "fixed":
            self._refuse_idle(("momentum",), "unless centers = 'distilled' and alpha = 'fixed'")
        if self.geometry == "off":
            self._refuse_idle(("geometry_w", "geometry_k", "geometry_warmup"), "with geometry = 'off'")
        return self


class TrainConfig(Section):
    """Stage two's optimiser, schedule and pace. batch_size is that of one rank.

    accumulate: micro-batches a rank's batch is cut into; the head still sees all of it. ema: decay of the averaged
    weights that are exported, 0 for none. verify: compare the pixels of this many faces with what the teacher saw.
    """

    epochs: Positive = 26
    batch_size: Positive = 384
    lr: Annotated[float, Field(gt=0)] = 0.1
    lr_batch: Annotated[int, Field(ge=0)] = Field(
        512, description="lr is for a global batch of this size and scales linearly; 0 takes lr as it is"
    )
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    gradient_norm: Annotated[float, Field(gt=0)] = 5.0
    accumulate: Positive = 1
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sync_batchnorm: bool = False
    schedule: Literal["step", "cosine", "polynomial", "onecycle"] = "step"
    milestones: tuple[Positive, ...] = (8, 14, 20, 25)
    power: Annotated[float, Field(gt=0)] = 2.0
    warmup_epochs: Annotated[int, Field(ge=0)] = 1
    precision: Precision = "float32"
    channels_last: bool = True
    compile: bool = False
    workers: Annotated[int, Field(ge=0)] = 2
    seed: int = Field(0, ge=0, lt=2**63)
    log_every: Positive = 50
    keep_checkpoints: Positive = 2
    checkpoint_minutes: Annotated[float, Field(ge=0)] = Field(
        10.0, description="a log line this long after the last checkpoint writes the next; epoch ends always do"
    )
    evaluate_every: Annotated[int, Field(ge=0)] = Field(0, description="epochs; 0 leaves evaluation to `make eval`")
    best_by: str | None = Field(None, description="SET.METRIC of the checkpoint kept and exported as the best")
    verify: Literal["off", "sample", "all"] = "sample"

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        with_schedule = f"with schedule = {self.schedule!r}"
        if self.schedule == "onecycle":
            self._refuse_idle(("warmup_epochs",), with_schedule)
        if self.schedule != "step":
            self._refuse_idle(("milestones",), with_schedule)
        if self.schedule != "polynomial":
            self._refuse_idle(("power",), with_schedule)
        if not self.evaluate_every:
            self._refuse_idle(("best_by",), "with evaluate_every = 0")
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate ({self.accumulate}) must divide batch_size ({self.batch_size})")
        return self


class MeasureConfig(Section):
    """How evaluation embeds faces, and which rates it reads off their scores; every `evaluate` command has these.

    precision, compile: of the forward pass of students and of weights named on a command line; a teacher keeps its
    section's. far, ranks: other operating points than the protocol's own, all protocols alike.
    """

    batch_size: Positive = 64
    flip: bool = True
    workers: Positive = 2
    precision: Precision = "float32"
    compile: bool = False
    far: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    ranks: tuple[Positive, ...] = ()


class EvaluateConfig(MeasureConfig):
    """Verification sets by name, and how they are measured."""

    sets: dict[str, str] = {}
    teacher: bool = True
    origin: str | None = Field(None, description="where to get the sets, said when one is missing")


class Config(Section):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    faces: FacesConfig
    teacher: ModelConfig | None = None
    views: ViewsConfig = ViewsConfig()
    cache: CacheConfig = CacheConfig()
    student: StudentConfig = StudentConfig()
    head: HeadConfig = HeadConfig()
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
        if self.head.reads_teacher and self.teacher is None:
            raise ValueError("head reads a teacher, but there is none: add teacher, or set head.centers = 'learned'")
        return self

    @model_validator(mode="after")
    def _several_caches_where_read(self) -> Self:
        if self.cache.also and not self.head.reads_teacher:
            raise ValueError("cache.also has no effect with a head that reads no teacher: remove it")
        return self

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        train, sets = self.train, self.evaluate.sets
        if not self.head.reads_teacher and train.verify != "sample":
            raise ValueError("train.verify has no effect where the head reads no teacher: remove it")
        if train.evaluate_every and not sets:
            raise ValueError("train.evaluate_every needs evaluate.sets, and there are none")
        if train.best_by is not None and train.best_by.partition(".")[0] not in sets:
            raise ValueError(f"train.best_by = {train.best_by!r} names no set: write SET.METRIC, SET one of {[*sets]}")
        return self

    @property
    def cache_dir(self) -> Path:
        """Folder of the teacher cache."""
        return Path(self.cache.path or f"caches/{self.name}")

    @property
    def run_dir(self) -> Path:
        """Folder of the training run."""
        return Path("runs") / self.name
