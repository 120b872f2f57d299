"""[teacher]: a face model, whose weights and what they want to see."""

from typing import Annotated, Literal

from pydantic import Field

from common.config.section import AnyPrecision, Positive, Section, Text

ChannelOrder = Literal["rgb", "bgr"]


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
    channel_order: ChannelOrder | None = None
    mean: float | None = None
    std: Annotated[float, Field(gt=0)] | None = None
    precision: AnyPrecision = Field(
        "float32", description="auto: stage one's choice, bfloat16 where device and weights allow; elsewhere float32"
    )
    channels_last: bool = False
    compile: bool = False
