"""A difference between two recipes, with one of the two spreads that it can be measured against."""

from dataclasses import dataclass
from typing import Literal

LEVEL = 0.05
"""Chance of calling two equal recipes different, over all cases of a table; intervals hold 1 - LEVEL."""
POWER = 0.8
"""Chance with which a difference as large as `smallest_shown` is found."""

Spread = Literal["seeds", "pairs", "people"]


@dataclass(frozen=True)
class Difference:
    """A point less the baseline, as a fraction.

    over: what would be drawn anew if all were done again: seeds of the training, pairs of the set, or its people. low,
    high: the 95 % interval of this difference alone. p: two-sided, of this comparison alone; p_holm: among all cases of
    the table. smallest_shown: the smallest difference found with a chance of 80 %, however small the table's other p.
    test: the test in words, with its numbers.
    """

    over: Spread
    difference: float
    low: float
    high: float
    p: float
    smallest_shown: float
    test: str
    p_holm: float = float("nan")

    @property
    def told_apart(self) -> bool:
        """Whether the difference is more than chance, among all cases of the table."""
        return self.p_holm < LEVEL
