"""What every section of an experiment file is made of: strict tables, and the kinds of numbers in them."""

import reprlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

LARGEST = 2**31 - 1
MOST_WORKERS = 1024


def _writable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{reprlib.repr(text)} holds a NUL, or bytes that are not UTF-8: write it otherwise")
    return text


Text = Annotated[str, AfterValidator(_writable)]
Positive = Annotated[int, Field(gt=0, le=LARGEST)]
NotNegative = Annotated[int, Field(ge=0, le=LARGEST)]
Workers = Annotated[int, Field(ge=0, le=MOST_WORKERS)]
Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveFraction = Annotated[float, Field(gt=0, le=1)]
Precision = Literal["float32", "bfloat16", "float16"]
AnyPrecision = Literal["auto", "float32", "bfloat16", "float16"]


class Idle(ValueError):
    """An option that was changed but cannot have an effect; its key, from where this is raised."""

    def __init__(self, option: str, because: str) -> None:
        super().__init__(f"{option} has no effect {because}: remove it")
        self.option = option


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values do not change after loading.

    Types are strict: `true` and "2" are no numbers, and a number is finite. A whole number will do for a fraction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, values: Any) -> Any:
        """A strict tuple takes no list, and TOML has nothing else."""
        if not isinstance(values, dict):
            return values
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    def _refuse_idle(self, fields: Iterable[str], because: str) -> None:
        """An option that was changed but cannot have an effect is an error, not silence."""
        for name in fields:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise Idle(name, because)
