"""An ablation is a file: an experiment, and what is varied about it.

    extends = "../lfw-short.toml"
    name = "lfw-heads"
    hypothesis = "The geometry term helps beyond AdaDistill + AdaFace"
    [ablate]
    seeds = [0, 1, 2]
    baseline = "adaface"
    [ablate.cases]
    adaface = { head = "adadistill-adaface" }
    geometry = { head = "adadistill-adaface-geometry" }

Beside `hypothesis` and `[ablate]` it holds whatever an experiment file does, and extends one or another ablation.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from common.config import Change, Section, Written, parse_override, read_written
from common.errors import ConfigError

Text = Annotated[str, Field(min_length=1, max_length=200)]


class AblateSection(Section):
    """[ablate]: seeds of every point, the point that others are compared with, the numbers compared (SET.METRIC), and
    the points: the product of cases and axes, less those excluded.

    axes: key of the experiment -> its values. cases: name -> changes of the experiment. exclude: what a point must have
    (`case`, axes) to be left out.
    """

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0,)
    baseline: Text | None = None
    metrics: tuple[Text, ...] = ()
    axes: dict[Text, Annotated[list[Any], Field(min_length=1)]] = Field({})
    cases: dict[Text, dict[str, Any]] = Field({})
    exclude: tuple[dict[str, Any], ...] = ()

    @field_validator("seeds", "metrics")
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := [value for place, value in enumerate(values) if value in values[:place]]:
            raise ValueError(f"{twice[0]!r} stands there twice: remove one")
        return values


@dataclass(frozen=True)
class Ablation:
    """An ablation file as read. section: None for a plain experiment file, which is one run. base: the name of the
    experiment that it varies, whose cache is meant where no cache.path is said."""

    path: Path
    name: str
    hypothesis: str
    section: AblateSection | None
    written: Written
    overrides: tuple[Change, ...]
    base: str


def read_ablation(path: str | Path, overrides: Iterable[str] = ()) -> Ablation:
    """Read an ablation or an experiment file. overrides: as `--set` gives them, over those of every
    point.

    Raises ConfigError naming file and key.
    """
    written = read_written(path)
    where = written.files[0].path
    values = dict(written.values)
    hypothesis, table = values.pop("hypothesis", ""), values.pop("ablate", None)
    changes = tuple(parse_override(text) for text in overrides)
    name = next((value for keys, value in reversed(changes) if keys == ("name",)), values.get("name"))
    if not isinstance(hypothesis, str):
        raise ConfigError(f"{where}: hypothesis is a sentence in quotes, not {hypothesis!r}")
    if not isinstance(name, str):
        raise ConfigError(f"{where}: name is missing: give the ablation one")
    section = None if table is None else _section(where, table)
    base = _base_name(written, name)
    return Ablation(where, name, hypothesis, section, Written(values, written.files), changes, base)


def _section(path: Path, table: Any) -> AblateSection:
    try:
        return AblateSection.model_validate(table)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in ("ablate", *problem["loc"]))
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        known = f"; known here: {', '.join(AblateSection.model_fields)}" if what == "unknown key" else ""
        raise ConfigError(f"{path}: {key}: {what}{known}") from None


def _base_name(written: Written, name: str) -> str:
    """The name of the nearest file that is no ablation itself."""
    for file in written.files:
        values = tomllib.loads(file.text)
        if "ablate" not in values and isinstance(values.get("name"), str):
            return str(values["name"])
    return name
