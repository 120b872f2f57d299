"""Histograms among the numbers of a step: the share of a batch in each of BINS equal parts of -1..1.

Shares are means over rows, so those of a window and of all ranks are means of them, as with every other number. Their
names are the number's with `:` and the place behind it: "margin_scaler:07".
"""

from collections.abc import Mapping

import torch
from torch import Tensor

BINS = 20
LOW, HIGH = -1.0, 1.0
_MARK = ":"


def shares(name: str, values: Tensor) -> dict[str, Tensor]:
    """Each part's share of values (B,) in -1..1, a () each by its name; the upper end is in the last part."""
    place = ((values - LOW) * (BINS / (HIGH - LOW))).long().clamp(0, BINS - 1)
    of_parts = (place[:, None] == torch.arange(BINS, device=values.device)).to(values.dtype).mean(0)
    return dict(zip(names(name), of_parts.unbind(), strict=True))


def names(name: str) -> list[str]:
    """What a number's parts are called, in order."""
    return [f"{name}{_MARK}{place:02}" for place in range(BINS)]


def edges() -> list[float]:
    """BINS + 1 ends of the parts."""
    return [LOW + (HIGH - LOW) * place / BINS for place in range(BINS + 1)]


def is_share(name: str) -> bool:
    """Whether a number of a log line is one part of a histogram."""
    return _MARK in name


def histograms(numbers: Mapping[str, float | None]) -> dict[str, list[float]]:
    """The whole histograms among the numbers of a log line, by name."""
    whole = dict.fromkeys(name.partition(_MARK)[0] for name in numbers if is_share(name))
    found: dict[str, list[float]] = {}
    for name in whole:
        values = [numbers.get(part) for part in names(name)]
        known = [value for value in values if value is not None]
        if len(known) == BINS:
            found[name] = known
    return found
