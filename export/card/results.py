"""A report's numbers as rows of the card: set, protocol with its letters, measure, value, interval."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Point(BaseModel):
    """TAR at a FAR; None where the set cannot show that FAR."""

    tar: Rate | None = None


class Pairs(BaseModel):
    """A verification set, as far as a card shows it. threshold: a cosine."""

    accuracy: Rate
    pairs: Count | None = None
    genuine: Count | None = None
    auc: Rate | None = None
    eer: Rate | None = None
    threshold: float | None = None
    fold_accuracy: list[Rate] = []
    tar_at_most_far: dict[str, Point] = {}


class Ranks(BaseModel):
    """Rates by rank."""

    rank: dict[str, Rate] = {}


class Pooling(BaseModel):
    """One way to pool the templates of a set."""

    tar_at_most_far: dict[str, Point] = {}
    closed_set: Ranks | None = None
    two_galleries: Ranks | None = None


class Templates(BaseModel):
    """A template protocol; poolings by their letters, which the report has beside the other numbers."""

    genuine: Count | None = None
    poolings: dict[str, Pooling] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, numbers: Any) -> Any:
        letters = {name: value for name, value in numbers.items() if isinstance(value, dict)}
        return {"genuine": numbers.get("genuine"), "poolings": letters}


class Probes(Ranks):
    """Identification among distractors."""

    probes: Count
    probes_without_mate: Annotated[int, Field(ge=0)] = 0


def _kind(numbers: Any) -> str | None:
    return next((kind for key, kind in _KINDS.items() if isinstance(numbers, dict) and key in numbers), None)


_KINDS = {"accuracy": "pairs", "templates": "templates", "mates": "probes"}
Numbers = Annotated[
    Annotated[Pairs, Tag("pairs")] | Annotated[Templates, Tag("templates")] | Annotated[Probes, Tag("probes")],
    Discriminator(_kind),
]
"""A model's numbers on one set, as `evaluation/results.json` has them."""

_Z = 1.959964  # standard normal, 97.5 %


@dataclass(frozen=True)
class Measure:
    """One number; low and high: its 95 % interval where trials are known. All are fractions."""

    set: str
    protocol: str
    name: str
    value: float
    low: float | None = None
    high: float | None = None


def measures(results: Mapping[str, Numbers]) -> list[Measure]:
    """The rates of a model, set by set; numbers a report has no value for are left out."""
    return [measure for name, numbers in results.items() for measure in _of_set(name, numbers)]


def _of_set(name: str, numbers: Numbers) -> Iterator[Measure]:
    if isinstance(numbers, Pairs):
        yield _rate(name, "pairs, 10 folds", "accuracy", numbers.accuracy, numbers.pairs)
        for measure, value in (("AUC", numbers.auc), ("EER", numbers.eer)):
            if value is not None:
                yield Measure(name, "pairs", measure, value)
        yield from _tars(name, "pairs", numbers.tar_at_most_far, numbers.genuine)
    elif isinstance(numbers, Templates):
        for letters, pooling in numbers.poolings.items():
            yield from _tars(name, f"templates 1:1, {letters}", pooling.tar_at_most_far, numbers.genuine)
            for protocol, found in (("closed set", pooling.closed_set), ("two galleries", pooling.two_galleries)):
                if found is not None:
                    yield from _ranks(name, f"1:N {protocol}, {letters}", found.rank, None)
    else:
        yield from _ranks(name, "1:N with distractors", numbers.rank, numbers.probes - numbers.probes_without_mate)


def _tars(name: str, protocol: str, points: Mapping[str, Point], genuine: int | None) -> Iterator[Measure]:
    for far, point in points.items():
        if point.tar is not None:
            yield _rate(name, protocol, f"TAR @ FAR <= {far}", point.tar, genuine)


def _ranks(name: str, protocol: str, ranks: Mapping[str, float], probes: int | None) -> Iterator[Measure]:
    for rank, rate in ranks.items():
        yield _rate(name, protocol, f"rank {rank}", rate, probes)


def _rate(name: str, protocol: str, measure: str, value: float, trials: int | None) -> Measure:
    low, high = wilson(value, trials) if trials else (None, None)
    return Measure(name, protocol, measure, value, low, high)


def wilson(rate: float, trials: int) -> tuple[float, float]:
    """95 % interval of a rate over independent trials (Wilson, JASA 1927)."""
    share = _Z * _Z / trials
    centre = (rate + share / 2) / (1 + share)
    half = _Z / (1 + share) * math.sqrt(rate * (1 - rate) / trials + share / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)
