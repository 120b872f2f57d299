"""Some of the people, as a case or an axis: `"subset.sample" = ["all", 2000, 500]`.

It stands for `faces.subset` and caches cut out of the point's own (`python -m cache subset`), whose paths say how.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from common.config import Change, Config, Positive, Section
from common.errors import ConfigError

TABLE = "subset"


@dataclass(frozen=True)
class Cut:
    """A cache cut out of another. options: of `python -m cache subset`, which makes it."""

    parent: str
    options: tuple[str, ...]


class Subset(Section):
    """As `python -m cache subset` has it: so many people drawn with a seed, the first so many, those a file names."""

    sample: Positive | Literal["all"] | None = None
    first: Positive | Literal["all"] | None = None
    people: Annotated[str, Field(min_length=1)] | None = None
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        if sum(choice is not None for choice in (self.sample, self.first, self.people)) != 1:
            raise ValueError("say one of sample, first, people")
        if self.sample in (None, "all"):
            self._refuse_idle(("seed",), "without a sample")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is everybody."""
        return "all" in (self.sample, self.first)

    @property
    def options(self) -> tuple[str, ...]:
        """Of `python -m cache subset`."""
        if self.people is not None:
            return ("--people", self.people)
        return ("--first", f"{self.first}") if self.first else ("--sample", f"{self.sample}", "--seed", f"{self.seed}")

    @property
    def suffix(self) -> str:
        """What the cache is called after its parent's name. Raises ConfigError for a list that cannot be read."""
        if self.people is None:
            return f"first{self.first}" if self.first else f"sample{self.sample}-seed{self.seed}"
        try:
            listed = hashlib.sha256(Path(self.people).read_bytes()).hexdigest()[:10]
        except OSError as error:
            raise ConfigError(f"{self.people}: the people of a subset cannot be read ({error.strerror})") from None
        return f"{Path(self.people).stem}-{listed}"


def taken_apart(changes: Iterable[Change], where: str) -> tuple[tuple[Change, ...], Subset | None]:
    """The changes of the experiment itself, and the subset among them. Raises ConfigError naming `where` for one that
    is none."""
    own, of_subset = list[Change](), dict[str, Any]()
    for keys, value in changes:
        if keys[0] != TABLE:
            own.append((keys, value))
        else:
            of_subset[".".join(keys[1:])] = value
    if not of_subset:
        return tuple(own), None
    try:
        subset = Subset.model_validate(of_subset)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join((TABLE, *map(str, problem["loc"][:1])))
        raise ConfigError(f"{where} {key}: {problem['msg'].removeprefix('Value error, ')}") from None
    return tuple(own), None if subset.whole else subset


def cut_changes(config: Config, subset: Subset) -> tuple[tuple[Change, ...], dict[str, Cut]]:
    """What makes an experiment that of a subset, and the caches to be cut: its own, and those it reads besides."""
    own = f"{config.cache_dir}"
    cuts = {f"{path}-{subset.suffix}": Cut(path, subset.options) for path in (own, *config.cache.also)}
    path, *also = cuts
    changes: list[Change] = [(("faces", "subset"), path), (("cache", "path"), path)]
    if also:
        changes.append((("cache", "also"), also))
    return tuple(changes), cuts
