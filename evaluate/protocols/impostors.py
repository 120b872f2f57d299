"""Impostor scores as a ROC curve asks for them: how many reach a value, and which score is the k-th highest.

Of 16 million pairs a rate hangs on the few whose scores lie next to a genuine score or to a threshold. So all scores
are computed in float32, and those few again in float64: every answer is that of float64 scores, at the cost of float32.
"""

from collections.abc import Callable

import numpy as np

# Scores looked through at once: 4 MB in float32 stay in a core's cache.
_BLOCK = 1 << 20
# Cells of the table that says which cosines are close to a genuine one; its lowest cosine leaves room for rounding.
_CELLS_PER_UNIT, _LOWEST = 1 << 21, -1.0625
# A share of the pairs above which computing all of them again costs no more than picking them.
_TOO_MANY = 1 / 8
# One in so many scores counts as high.
_HIGH = 50


class SortedScores:
    """Scores of one kind of pair, exact as they are."""

    def __init__(self, scores: np.ndarray) -> None:
        """scores (I,): any float dtype, copied and sorted."""
        self.sorted = np.sort(scores)

    def __len__(self) -> int:
        return len(self.sorted)

    def reaching(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each value: how many scores are above it, and how many are at least it."""
        total = len(self.sorted)
        return (
            total - np.searchsorted(self.sorted, values, "right"),
            total - np.searchsorted(self.sorted, values, "left"),
        )

    def places(self, start: int, stop: int) -> np.ndarray:
        """The scores in places start .. stop - 1, place 0 being the highest, descending."""
        return self.sorted[len(self.sorted) - stop : len(self.sorted) - start][::-1]

    def settled(self) -> "SortedScores":
        """The scores alone, without what they were computed from."""
        return self


class RoundedScores(SortedScores):
    """float32 cosines, of which those that an answer hangs on are computed again: all answers are float64's."""

    def __init__(
        self, rounded: np.ndarray, chosen: np.ndarray, exact: Callable[[np.ndarray], np.ndarray], error: float
    ) -> None:
        """rounded (P,) float32 cosines of all pairs, `chosen` (P,) bool which of them these scores are.

        exact: gives the float64 scores of pair numbers; error: the most by which rounded scores deviate from them.
        """
        self.sorted = rounded[chosen]
        self.sorted.sort()
        self.rounded, self.chosen, self.exact, self.error = rounded, chosen, exact, error
        self.decided = False
        self._high = self.sorted[-len(self) // _HIGH] - np.float32(5 * error) if len(self) else np.float32(0)
        self._highest: np.ndarray | None = None

    def reaching(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        close = None if self.decided else self._close_to(values)
        if close is None:
            return super().reaching(values)
        # The others are farther from every value than both roundings reach, so float32 tells on which side they are.
        far_or_close, only_close = self.sorted, np.sort(self.rounded[close])
        clear = np.float32(values)
        surely = (
            (len(far_or_close) - len(only_close))
            - np.searchsorted(far_or_close, clear)
            + np.searchsorted(only_close, clear)
        )
        above, at_least = SortedScores(self.exact(close)).reaching(values)
        return surely + above, surely + at_least

    def places(self, start: int, stop: int) -> np.ndarray:
        if self.decided or stop <= start:
            return super().places(start, stop)
        # The k-th highest exact score is within `error` of the k-th highest rounded one.
        low = np.float32(float(self.sorted[-stop]) - 2 * self.error)
        high = np.float32(float(self.sorted[-start - 1]) + 2 * self.error)
        lower = int(np.searchsorted(self.sorted, low))
        higher = len(self) - int(np.searchsorted(self.sorted, high, "right"))
        if len(self) - lower - higher > _TOO_MANY * len(self):
            self._decide_all()
            return super().places(start, stop)
        close = self._between(low, high)
        return np.sort(self.exact(close))[::-1][start - higher : stop - higher]

    def settled(self) -> SortedScores:
        plain = SortedScores(self.sorted[:0])
        plain.sorted = self.sorted
        return plain

    def _close_to(self, values: np.ndarray) -> np.ndarray | None:
        """Numbers of the pairs within `error` of a value (and a rounding); None if all were decided instead."""
        reach = self.error + 1e-7
        ends = ((np.stack([values - reach, values + reach]) - _LOWEST) * _CELLS_PER_UNIT).astype(np.int64)
        edges = np.zeros(int(ends.max()) + 2, np.int32)
        np.add.at(edges, ends[0], 1)
        np.add.at(edges, ends[1] + 1, -1)
        marked = np.append(np.cumsum(edges) > 0, False)

        def near(block: np.ndarray) -> np.ndarray:
            cell = ((block - np.float32(_LOWEST)) * np.float32(_CELLS_PER_UNIT)).astype(np.int32)
            return marked[np.minimum(cell, len(marked) - 1)]

        close = self._where(near)
        if len(close) > _TOO_MANY * len(self):
            self._decide_all()
            return None
        return close

    def _between(self, low: np.float32, high: np.float32) -> np.ndarray:
        """Numbers of the pairs with a rounded score in [low, high]. Thresholds are nearly always among the highest."""
        if low < self._high:
            return self._where(lambda block: (block >= low) & (block <= high))
        if self._highest is None:
            self._highest = self._where(lambda block: block >= self._high)
        highest: np.ndarray = self._highest
        scores = self.rounded[highest]
        inside: np.ndarray = highest[(scores >= low) & (scores <= high)]
        return inside

    def _where(self, test: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        found = []
        for start in range(0, len(self.rounded), _BLOCK):
            block = slice(start, start + _BLOCK)
            numbers = start + np.flatnonzero(test(self.rounded[block]))
            found.append(numbers[self.chosen[numbers]])
        return np.concatenate(found)

    def _decide_all(self) -> None:
        self.sorted = np.sort(self.exact(np.flatnonzero(self.chosen)))
        self.decided = True
