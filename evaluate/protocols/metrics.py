"""Error rates of scores: the ROC curve and the numbers read off it.

A pair is accepted when its score reaches the threshold. TAR (true accept rate) is the share of genuine pairs
accepted, FAR (false accept rate) the share of impostor pairs accepted; both are fractions here, never percent.

"TAR at FAR x" means two different things in the literature, so both are here under their own names:

- `tar_nearest`: the curve's corner whose FAR is nearest to x, which may lie above x. What the IJB evaluators of
  InsightFace, AdaFace and CVLface print.
- `tar_at_most`: the best point whose FAR does not exceed x. The conservative reading.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import asdict, dataclass

import numpy as np

from common.errors import DataError
from evaluate.protocols.impostors import SortedScores

# Impostors looked at on either side of a target at first, for corners among their ties.
_REACH = 1024


@dataclass(frozen=True, slots=True)
class Point:
    """One operating point of a curve. `threshold` is infinite where nothing is accepted."""

    tar: float
    far: float
    threshold: float


def shown_at(far: float, impostors: int) -> bool:
    """Whether so many impostor pairs can show a FAR: a finer one is less than one pair."""
    return far * impostors >= 1 - 1e-9


def summarised(points: Mapping[float, Point], impostors: int) -> dict[str, dict[str, float | None]]:
    """Operating points by FAR, for JSON: null for FARs finer than the impostor pairs can show, and for a threshold
    that nothing reaches."""
    return {
        f"{far:g}": {
            name: value if shown_at(far, impostors) and np.isfinite(value) else None
            for name, value in asdict(point).items()
        }
        for far, point in points.items()
    }


class Roc:
    """The ROC curve of genuine and impostor scores, both kept sorted.

    Between two genuine scores the curve only runs sideways, so everything follows from where the genuine scores
    fall among the impostor scores: a handful of binary searches, also for 16 million impostors.
    """

    def __init__(self, genuine: np.ndarray, impostor: np.ndarray | SortedScores) -> None:
        """Scores of any float dtype, higher is more alike, shapes (G,) and (I,). They are copied and sorted.

        Raises DataError if either is empty or a score is not finite.
        """
        self.genuine = np.sort(genuine)
        self.impostor = impostor if isinstance(impostor, SortedScores) else SortedScores(impostor)
        for kind, scores in (("genuine", self.genuine), ("impostor", self.impostor.sorted)):
            if not len(scores):
                raise DataError(f"no {kind} pairs: error rates need both genuine and impostor pairs")
            # NaN sorts last, infinities to the ends.
            if not np.isfinite(scores[[0, -1]]).all():
                raise DataError(f"the scores of {kind} pairs hold NaN or infinity")
        # Turning points, from the strictest threshold on: just before each distinct genuine score, and at it.
        values, self._ties = (column[::-1] for column in np.unique(self.genuine, return_counts=True))
        self._hits_at = np.cumsum(self._ties)
        self._before, self._at = self.impostor.reaching(values)

    @classmethod
    def of(cls, scores: np.ndarray, same: np.ndarray) -> "Roc":
        """From one array of scores (P,) and a bool array (P,), true for genuine pairs."""
        return cls(scores[same], scores[~same])

    def settled(self) -> "Roc":
        """The curve without what its impostors' scores were computed from: all its rates, and scores for pictures."""
        plain = copy(self)
        plain.impostor = self.impostor.settled()
        return plain

    def turning_points(self) -> tuple[np.ndarray, np.ndarray]:
        """FAR and TAR (float64) of all points where the curve turns, from (0, 0) to (1, 1)."""
        accepted, hits = self._turns(np.ones(len(self._at), bool))
        return accepted / len(self.impostor), hits / len(self.genuine)

    def tar_nearest(self, target: float) -> Point:
        """The corner of the curve with the FAR nearest to `target`; among equally near ones the highest TAR.

        Corners as scikit-learn's `roc_curve` keeps them: a point between two equal steps is no corner. Tied
        scores make sideways steps of unequal length, and so corners in the middle of a sideways run.
        """
        step_in = np.stack([self._at - self._before, self._ties])
        run_after = np.append(self._before[1:], len(self.impostor)) > self._at
        corner = run_after.copy()
        corner[:-1] |= (step_in[:, 1:] != step_in[:, :-1]).any(axis=0)
        corner[0] |= self._before[0] == 0  # the first point of a curve is always kept, and so is the last
        corner[-1] = True
        accepted, hits = self._turns(corner)

        goal = target * len(self.impostor)
        place = int(np.searchsorted(accepted, goal, "left"))
        if 0 < place < len(accepted) and hits[place - 1] == hits[place]:
            inner = self._corners_in_run(int(accepted[place - 1]), int(accepted[place]), goal, hits[place] == 0)
            accepted = np.insert(accepted, place, inner)
            hits = np.insert(hits, place, np.full(len(inner), hits[place]))
        # In this very form, as fractions: which of two neighbours is nearer may hang on the last bit.
        distance = np.abs(accepted / len(self.impostor) - target)
        best = len(distance) - 1 - int(np.argmin(distance[::-1]))
        return self._point(int(accepted[best]), int(hits[best]))

    def tar_at_most(self, target: float) -> Point:
        """The highest TAR whose FAR is at most `target`, and the lowest FAR that comes with it."""
        # 1e-9: 0.001 of 3,000 pairs means 3 pairs, though the product may fall short of 3 by a rounding.
        good = np.flatnonzero(self._at <= target * len(self.impostor) + 1e-9)
        if not len(good):
            return self._point(0, 0)
        return self._point(int(self._at[good[-1]]), int(self._hits_at[good[-1]]))

    def auc(self) -> float:
        """Area under the curve: the chance that a genuine pair scores above an impostor pair, ties counting half."""
        ties = self._at - self._before
        above = float(np.sum(self._ties * (len(self.impostor) - self._at + ties / 2)))
        return above / len(self.genuine) / len(self.impostor)

    def eer(self) -> float:
        """Equal error rate: FAR where it meets 1 - TAR, on the curve drawn with straight lines."""
        far, tar = self.turning_points()
        gap = far - (1 - tar)
        after = int(np.argmax(gap >= 0))
        share = -gap[after - 1] / (gap[after] - gap[after - 1])
        return float(far[after - 1] + share * (far[after] - far[after - 1]))

    def _turns(self, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Counts (accepted impostors, accepted genuine) along the curve; `corner` says which genuine scores count."""
        previous_at, previous_hits = np.append(0, self._at[:-1]), np.append(0, self._hits_at[:-1])
        accepted = np.stack([self._before, self._at], axis=1)
        hits = np.stack([previous_hits, self._hits_at], axis=1)
        kept = np.stack([self._before > previous_at, corner], axis=1)
        return (
            np.concatenate([[0], accepted[kept], [len(self.impostor)]]),
            np.concatenate([[0], hits[kept], [len(self.genuine)]]),
        )

    def _corners_in_run(self, start: int, end: int, goal: float, opening: bool) -> np.ndarray:
        """Accepted impostors at corners strictly inside a sideways run from `start` to `end` accepted, among them the
        nearest to `goal` on either side.

        `opening`: the curve begins with this run; the first point of a curve counts as a corner.
        """
        reach = _REACH
        while True:
            low, high = max(start, int(goal) - reach), min(end, int(goal) + reach)
            run = self.impostor.places(low, high)
            edges = low + 1 + np.flatnonzero(run[1:] != run[:-1])
            # Ties cut off at an end of the piece make a step of unknown length.
            bounds = np.concatenate([[low] * (low == start), edges, [high] * (high == end)]).astype(np.int64)
            steps = np.diff(bounds)
            corners: np.ndarray = bounds[1:-1][steps[1:] != steps[:-1]]
            if opening and low == start and len(edges):
                corners = np.union1d(edges[:1], corners)
            if (low == start or (corners <= goal).any()) and (high == end or (corners >= goal).any()):
                return corners
            reach *= 8

    def _point(self, accepted: int, hits: int) -> Point:
        lowest_impostor = self.impostor.places(accepted - 1, accepted)[0] if accepted else np.inf
        lowest_genuine = self.genuine[-hits] if hits else np.inf
        return Point(
            tar=hits / len(self.genuine),
            far=accepted / len(self.impostor),
            threshold=float(min(lowest_impostor, lowest_genuine)),
        )
