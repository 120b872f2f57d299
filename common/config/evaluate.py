"""[evaluate]: which sets, and how they are measured."""

from typing import Annotated

from pydantic import Field

from common.config.section import MOST_WORKERS, Positive, Precision, Section, Text


class MeasureConfig(Section):
    """How evaluation embeds faces, and which rates it reads off their scores; every `evaluate` command has these.

    precision, compile: of the forward pass of students and of weights named on a command line; a teacher keeps its
    section's. far, ranks: other operating points than the protocol's own, all protocols alike.
    """

    batch_size: Positive = 64
    flip: bool = True
    workers: Annotated[int, Field(gt=0, le=MOST_WORKERS)] = 2
    precision: Precision = "float32"
    compile: bool = False
    far: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    ranks: tuple[Positive, ...] = ()


class EvaluateConfig(MeasureConfig):
    """Verification sets by name, and how they are measured."""

    sets: dict[Text, Text] = Field({})
    teacher: bool = True
    origin: Text | None = Field(None, description="where to get the sets, said when one is missing")
