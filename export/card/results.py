"""A report's numbers as rows of the card: set, protocol with its letters, measure, value, interval."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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


def measures(results: Mapping[str, Mapping[str, Any]]) -> list[Measure]:
    """The rates of a model, set by set; numbers a report has no value for are left out."""
    return [measure for name, numbers in results.items() for measure in _of_set(name, numbers)]


def _of_set(name: str, numbers: Mapping[str, Any]) -> Iterator[Measure]:
    if "accuracy" in numbers:
        pairs = numbers.get("pairs")
        yield _rate(name, "pairs, 10 folds", "accuracy", numbers["accuracy"], pairs)
        for key in ("auc", "eer"):
            if isinstance(numbers.get(key), int | float):
                yield Measure(name, "pairs", key.upper(), float(numbers[key]))
        yield from _tars(name, "pairs", numbers, numbers.get("genuine"))
    elif "templates" in numbers:
        for letters, entry in numbers.items():
            if isinstance(entry, dict):
                yield from _tars(name, f"templates 1:1, {letters}", entry, numbers.get("genuine"))
                for protocol in ("closed_set", "two_galleries"):
                    found = entry.get(protocol) or {}
                    yield from _ranks(name, f"1:N {protocol.replace('_', ' ')}, {letters}", found.get("rank", {}), None)
    elif "mates" in numbers:
        probes = numbers["probes"] - numbers.get("probes_without_mate", 0)
        yield from _ranks(name, "1:N with distractors", numbers.get("rank", {}), probes)


def _tars(name: str, protocol: str, entry: Mapping[str, Any], genuine: int | None) -> Iterator[Measure]:
    for far, point in entry.get("tar_at_most_far", {}).items():
        if point.get("tar") is not None:
            yield _rate(name, protocol, f"TAR @ FAR <= {far}", point["tar"], genuine)


def _ranks(name: str, protocol: str, ranks: Mapping[str, float], probes: int | None) -> Iterator[Measure]:
    for rank, rate in ranks.items():
        yield _rate(name, protocol, f"rank {rank}", rate, probes)


def _rate(name: str, protocol: str, measure: str, value: float, trials: int | None) -> Measure:
    low, high = wilson(value, trials) if trials else (None, None)
    return Measure(name, protocol, measure, float(value), low, high)


def wilson(rate: float, trials: int) -> tuple[float, float]:
    """95 % interval of a rate over independent trials (Wilson, JASA 1927)."""
    share = _Z * _Z / trials
    centre = (rate + share / 2) / (1 + share)
    half = _Z / (1 + share) * math.sqrt(rate * (1 - rate) / trials + share / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)
