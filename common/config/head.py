"""[head]: margin, class centres and geometry; a published recipe by name."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from common.config.recipes import RECIPES
from common.config.section import Fraction, NotNegative, Section, Text

HeadPrecision = Literal["float32", "bfloat16"]


class HeadConfig(Section):
    """Margin x class centres x geometry; the maths is in docs/method.md.

    recipe: a published point of this grid by name (common/config/recipes.py); values given beside it override it.
    s, m: scale and margin. h, t_alpha: AdaFace's concentration and the rate of its norm statistics.
    alpha: how far a distilled centre keeps its place: `weighted` cos(f_s,f_t) * lam, `adaptive` cos(f_s,f_t),
    `fixed` the number in `momentum`. geometry_w, _k, _warmup (epochs): weight, sensitivity and warm-up of the geometry
    term; _threshold: of lam, above which `static` has it; _penalty: as it is, or standardised as AdaFace standardises
    norms. start: distilled centres begin as small random columns, or at the cache's class centres.
    header: file of frozen centres below the data root, instead of the cache's.
    precision: of the matrix products. logits_mib: logits of a step that take more are formed twice, block by block,
    instead of kept. split_classes: every rank holds its part of the centres. sample_rate: part of the classes that
    a step's softmax runs over (Partial FC).
    """

    recipe: Text | None = None
    margin: Literal["none", "arcface", "cosface", "adaface"] = "adaface"
    centers: Literal["distilled", "frozen", "learned"] = "distilled"
    geometry: Literal["off", "live", "cached", "static"] = "off"
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
    geometry_threshold: Fraction = 0.5
    geometry_penalty: Literal["raw", "standardised"] = "raw"
    precision: HeadPrecision = "float32"
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
            self._refuse_idle(
                ("geometry_w", "geometry_k", "geometry_warmup", "geometry_penalty"), "with geometry = 'off'"
            )
        if self.geometry != "static":
            self._refuse_idle(("geometry_threshold",), f"with geometry = {self.geometry!r}")
        if self.geometry_penalty == "standardised":
            self._refuse_idle(("geometry_k",), "with geometry_penalty = 'standardised': it is divided out")
        return self
