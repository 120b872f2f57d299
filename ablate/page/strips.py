"""Small drawings in the rows of tables: a dot a seed, an interval beside zero. Where marks stand, no markup."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.page.leaderboard import Board
from ablate.page.words import known

if TYPE_CHECKING:
    from ablate.statistics import Verdict

WIDTH, HEIGHT = 160, 22
_INSET = 9  # room for half a mark at both ends


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` as places from left to right; what lies outside stands at the edge."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Pixels from the left."""
        share = min(max((value - self.low) / (self.high - self.low), 0), 1)
        return round(_INSET + share * (WIDTH - 2 * _INSET), 1)

    def holds(self, value: float) -> bool:
        """Whether it has a place of its own."""
        return self.low <= value <= self.high


def value_scale(board: Board) -> Scale | None:
    """One scale for all dots of a board. A teacher far from all students stands at its edge, or they would all be in
    one place; beside a single value it is the scale."""
    values = [value for row in board.rows for _, value in row.values]
    if not values:
        return None
    low, high = min(values), max(values)
    if known(board.teacher):
        reach = max(high - low, 0.01) if high > low else 1.0
        if low - reach <= board.teacher <= high + reach:
            low, high = min(low, board.teacher), max(high, board.teacher)
    return Scale(*_rounded(low, high))


def difference_scale(verdicts: Sequence["Verdict"]) -> Scale | None:
    """One scale for all intervals, with zero on it."""
    ends = [end for verdict in verdicts for end in (verdict.low, verdict.high, verdict.difference) if known(end)]
    return Scale(*_rounded(min([*ends, 0]), max([*ends, 0]))) if ends else None


def _rounded(low: float, high: float) -> tuple[float, float]:
    """The next round numbers around two fractions, some room between."""
    if high - low < 0.002:
        low, high = low - 0.001, high + 0.001
    step = 10 ** math.floor(math.log10(high - low))
    step = next(part * step for part in (0.1, 0.2, 0.5, 1) if (high - low) / (part * step) <= 12)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
