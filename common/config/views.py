"""[views]: which pictures of a face teacher and student see."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.config.section import Fraction, PositiveFraction, Section

ViewOrder = Literal["random", "cycle"]

# Policies that have a number of views of their own; the others take as many as wanted.
VIEWS_OF_POLICY = {"none": 1, "flip": 2}
DEFAULT_VIEWS = 8
MOST_VIEWS = 1024
# The operations of the `adaface` policies: the probability of each, and what has no effect without it.
OPERATIONS = {
    "crop_probability": ("crop_area", "crop_aspect"),
    "photometric_probability": ("brightness", "contrast", "saturation"),
    "low_resolution_probability": ("low_resolution_side",),
}
# What changes a face: the options that say how. Policies are made of these and of `flip`, joined by "+".
OPTIONS = {
    "adaface": tuple(name for probability, ranges in OPERATIONS.items() for name in (probability, *ranges)),
    "randaugment": ("randaugment_operations", "randaugment_magnitude", "randaugment_geometry"),
    "mixface": ("mixface_weight",),
}


class ViewsConfig(Section):
    """Which pictures of a face the teacher and the student see.

    The operations of `adaface` are those of common/faces/views/adaface.py, with the recipe's values as defaults (Kim et
    al., AdaFace, CVPR 2022, supplement). Ranges are (least, greatest); brightness, contrast and saturation are the
    greatest departure of their factor from 1.
    """

    policy: Literal[
        "none",
        "flip",
        "adaface",
        "flip+adaface",
        "randaugment",
        "flip+randaugment",
        "mixface",
        "flip+mixface",
    ] = "flip"
    seed: int = Field(0, ge=0, lt=2**63)
    count: Annotated[int, Field(gt=0, le=MOST_VIEWS)] | None = Field(
        None, description="views a sample: `none` has 1 and `flip` has 2; the others as many as wanted, 8 unless said"
    )
    order: ViewOrder = "random"
    crop_probability: Fraction = 0.2
    crop_area: tuple[PositiveFraction, PositiveFraction] = (0.2, 1.0)
    crop_aspect: tuple[PositiveFraction, Annotated[float, Field(ge=1, le=100)]] = (3 / 4, 4 / 3)
    photometric_probability: Fraction = 0.2
    brightness: Fraction = 0.5
    contrast: Fraction = 0.5
    saturation: Fraction = 0.5
    low_resolution_probability: Fraction = 0.2
    low_resolution_side: tuple[PositiveFraction, PositiveFraction] = (0.2, 1.0)
    randaugment_operations: Annotated[int, Field(ge=1, le=16)] = Field(
        2, description="how many of `randaugment`'s operations one after the other (N of its paper)"
    )
    randaugment_magnitude: Annotated[float, Field(gt=0, le=10)] = Field(9.0, description="of all of them (M)")
    randaugment_geometry: Fraction = Field(
        0.2, description="what rotation, shear and shift have of the paper's ranges, since a face is aligned"
    )

    mixface_weight: tuple[Fraction, Fraction] = Field(
        (0.5, 1.0), description="of a face in its mixture with another, uniform in the range"
    )

    @property
    def number(self) -> int:
        """V, the number of views of a sample."""
        return self.count or VIEWS_OF_POLICY.get(self.policy, DEFAULT_VIEWS)

    @property
    def parts(self) -> tuple[str, ...]:
        """What the policy is made of: none of these, `flip`, and a key of OPTIONS."""
        return tuple(part for part in self.policy.split("+") if part != "none")

    @property
    def has_labels(self) -> bool:
        """Whether a view is of one person; a mixture is of two."""
        return "mixface" not in self.parts

    @property
    def options(self) -> tuple[str, ...]:
        """The options that say what the policy does to a pixel."""
        return tuple(name for part in self.parts for name in OPTIONS.get(part, ()))

    @model_validator(mode="after")
    def _every_option_counts(self) -> Self:
        fixed = VIEWS_OF_POLICY.get(self.policy)
        if fixed is not None and self.count not in (None, fixed):
            raise ValueError(f"count = {self.count}: policy {self.policy!r} has exactly {fixed}")
        for part, names in OPTIONS.items():
            if part not in self.parts:
                self._refuse_idle(names, f"with policy = {self.policy!r}")
        if "adaface" in self.parts:
            self._check_adaface()
        for name in ("crop_area", "low_resolution_side", "mixface_weight"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise ValueError(f"{name} is (least, greatest), not ({least}, {greatest})")
        if self.mixface_weight == (1, 1):
            raise ValueError("mixface_weight = [1, 1] mixes nothing in: take 'none' or 'flip'")
        return self

    def _check_adaface(self) -> None:
        for probability, ranges in OPERATIONS.items():
            if getattr(self, probability) == 0:
                self._refuse_idle(ranges, f"with {probability} = 0")
        if not any(getattr(self, probability) for probability in OPERATIONS):
            raise ValueError("policy does nothing with all its probabilities at 0: take 'none' or 'flip'")
