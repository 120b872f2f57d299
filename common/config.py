"""The experiment file (being written)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """A face model: whose weights, which network, and what the network wants to see.

    Only `weights` is needed for models that carry or are known by their preset; every other field overrides.
    """

    weights: str
    revision: str | None = None
    sha256: str | None = None
    architecture: str | None = None
    embedding_size: int | None = None
    size: tuple[int, int] | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    mean: float | None = None
    std: float | None = None
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    channels_last: bool = False
    compile: bool = False
