"""The sections of an experiment file that stage two lives by: [student], [head], [train]."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from common.config.recipes import RECIPES
from common.config.section import Fraction, NotNegative, Positive, Precision, Section, Text, Workers


class StudentConfig(Section):
    """The network that is trained."""

    backbone: Text = "mobilefacenet"
    embedding_size: Positive = 512


class HeadConfig(Section):
    """Margin x class centres x geometry; the maths is in docs/method.md.

    recipe: a published point of this grid by name (common/config/recipes.py); values given beside it override it.
    s, m: scale and margin. h, t_alpha: AdaFace's concentration and the rate of its norm statistics.
    alpha: how far a distilled centre keeps its place: `weighted` cos(f_s,f_t) * lam, `adaptive` cos(f_s,f_t),
    `fixed` the number in `momentum`. geometry_w, _k, _warmup (epochs): weight, sensitivity and warm-up of the geometry
    term. start: distilled centres begin as small random columns, or at the cache's class centres.
    header: file of frozen centres below the data root, instead of the cache's.
    precision: of the matrix products. logits_mib: logits of a step that take more are formed twice, block by block,
    instead of kept. split_classes: every rank holds its part of the centres. sample_rate: part of the classes that
    a step's softmax runs over (Partial FC).
    """

    recipe: Text | None = None
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
    header: Text | None = None
    geometry_w: float = 1.0
    geometry_k: float = 3.0
    geometry_warmup: Annotated[float, Field(ge=0)] = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    logits_mib: NotNegative = 1024
    split_classes: bool = False
    sample_rate: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _recipe_below_values(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("recipe") is None:
            return values
        if not isinstance(values["recipe"], str):
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
    lr_batch: NotNegative = Field(
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
    warmup_epochs: NotNegative = 1
    precision: Precision = "float32"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = Field(False, description="the same bits on one GPU, at some cost; a CPU gives them anyway")
    workers: Workers = 2
    seed: int = Field(0, ge=0, lt=2**63)
    log_every: Positive = 50
    keep_checkpoints: Positive = 2
    checkpoint_minutes: Annotated[float, Field(ge=0)] = Field(
        10.0, description="a log line this long after the last checkpoint writes the next; epoch ends always do"
    )
    evaluate_every: NotNegative = Field(0, description="epochs; 0 leaves evaluation to `make eval`")
    best_by: Text | None = Field(None, description="SET.METRIC of the checkpoint kept and exported as the best")
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
