"""The sections of an experiment file that stage one lives by: [faces], [teacher], [views], [cache]."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from common.config.section import Fraction, Positive, PositiveFraction, Precision, Section, Text, Workers


class FacesConfig(Section):
    """Training faces: a RecordIO folder or a folder of identity folders."""

    path: Text
    max_per_identity: Positive | None = None
    subset: Text | None = Field(None, description="cache that `python -m cache subset` cut out: its people only")
    samples: Positive | None = Field(None, description="images expected; another number on disk is refused")
    identities: Positive | None = Field(None, description="identities expected; another number is refused")
    origin: Text | None = Field(None, description="where to get the faces, said when they are missing")


class ModelConfig(Section):
    """A face model: whose weights, which network, and what the network wants to see.

    Only `weights` is needed for models that carry or are known by their preset; every other field overrides.
    """

    weights: Text
    revision: Text | None = None
    sha256: Text | None = None
    architecture: Text | None = None
    embedding_size: Positive | None = None
    size: tuple[Positive, Positive] | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    mean: float | None = None
    std: Annotated[float, Field(gt=0)] | None = None
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False


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


class ViewsConfig(Section):
    """Which pictures of a face the teacher and the student see.

    The operations of `adaface` are those of common/faces/augment.py, with the recipe's values as defaults (Kim et al.,
    AdaFace, CVPR 2022, supplement). Ranges are (least, greatest); brightness, contrast and saturation are the greatest
    departure of their factor from 1.
    """

    policy: Literal["none", "flip", "adaface", "flip+adaface"] = "flip"
    seed: int = Field(0, ge=0, lt=2**63)
    count: Annotated[int, Field(gt=0, le=MOST_VIEWS)] | None = Field(
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
    same_runtime: refuse to go on in a cache of other threads, library versions, device or batch size. These may change
    the last bits of embeddings, not what a cache is.
    also: caches of further teachers to learn from; combine: all of them in every step, or one an epoch.
    """

    path: Text | None = None
    also: tuple[Text, ...] = ()
    combine: Literal["mean", "epoch"] = "mean"
    dtype: Literal["float32", "float16", "int8"] = "float16"
    confidence: Literal["center", "leave_one_out"] = "center"
    on_bad_image: Literal["fail", "skip"] = "fail"
    shard_rows: Positive = 16384
    chunk_rows: Positive = 1024
    batch_size: Positive = 64
    workers: Workers = 1
    check_teacher: bool = True
    same_runtime: bool = False

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
