"""The cosine above which two faces are taken for one person's at a FAR, and how sure that is: a bootstrap.

The threshold at FAR x is the (k+1)-th highest cosine of I pairs of strangers, k = floor(x I); a pair is accepted
*above* it, as in the protocol of `.bin` sets. So at most x of these strangers are accepted, ties included, and
no genuine pair has a say. A FAR finer than one pair is not shown by them.

Pairs of a set share people, and an easily mistaken face is in all of its pairs: such pairs are no independent draws.
Where people are known to repeat they are drawn anew, and a pair of people drawn i and j times counts i j times: the
pigeonhole bootstrap (Owen, Annals of Applied Statistics 1(2), 2007), whose intervals are never too narrow on
average, and up to 1.7 times too wide where nobody's face matters. Else pairs are drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import DataError
from evaluate.protocols.metrics import shown_at

RESAMPLES = 1000
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class OperatingPoint:
    """low, high: between them lie 95 % of the thresholds of the sets drawn anew. tar: of all mates, a fraction."""

    far: float
    threshold: float
    low: float
    high: float
    tar: float


def operating_points(
    cosines: np.ndarray,
    issame: np.ndarray,
    fars: Sequence[float],
    people: np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> list[OperatingPoint]:
    """The operating points at those `fars` that the strangers can show, in the order given.

    Args:
        cosines: (P,) of pairs; issame: (P,) bool.
        people: (P,2) int, whose faces a pair shows, 0..N-1, to draw people; None draws pairs.

    Raises:
        DataError: only one kind of pair, or a cosine that is not finite.
    """
    if not issame.any() or issame.all():
        raise DataError(f"no pairs of {'strangers' if issame.all() else 'one person'}: a threshold needs both kinds")
    if not np.isfinite(cosines).all():
        raise DataError(f"pair {int(np.argmin(np.isfinite(cosines)))} has a cosine that is NaN or infinite")
    order = np.argsort(-cosines[~issame], kind="stable")
    falling = cosines[~issame][order]
    shown = [far for far in fars if shown_at(far, len(falling))]
    strangers = None if people is None else people[~issame][order]
    drawn = np.array([_thresholds(falling, weights, shown) for weights in _drawn(len(falling), strangers, resamples)])
    here = _thresholds(falling, np.ones(len(falling), np.int64), shown)
    genuine = cosines[issame]
    points = []
    for number, (far, threshold) in enumerate(zip(shown, here, strict=True)):
        low, high = np.quantile(drawn[:, number], _QUANTILES)
        points.append(
            OperatingPoint(far, float(threshold), float(low), float(high), float((genuine > threshold).mean()))
        )
    return points


def repeating(people: np.ndarray) -> np.ndarray | None:
    """People int (P,2), numbered from 0, on either side of each pair; None where nobody is in two pairs."""
    both_sides = people[:, 0] == people[:, 1]
    pairs_of_person = np.bincount(np.concatenate([people[:, 0], people[~both_sides, 1]]))
    return people if (pairs_of_person > 1).any() else None


def _drawn(pairs: int, people: np.ndarray | None, resamples: int) -> list[np.ndarray]:
    """How often each pair counts in each set drawn anew; a set in which no pair is left is drawn again."""
    random = np.random.Generator(np.random.Philox(0))
    found: list[np.ndarray] = []
    total = pairs if people is None else int(people.max()) + 1
    while len(found) < resamples:
        times = np.bincount(random.integers(0, total, total), minlength=total)
        weights = times if people is None else times[people[:, 0]] * times[people[:, 1]]
        if weights.any():
            found.append(weights)
    return found


def _thresholds(falling: np.ndarray, weights: np.ndarray, fars: Sequence[float]) -> np.ndarray:
    """For each FAR the highest cosine at which more than that share of the weight is reached."""
    reached = np.cumsum(weights)
    # 1e-9: 0.001 of 3,000 pairs means 3 pairs, though the product may fall short of 3 by a rounding.
    places = np.searchsorted(reached, np.array(fars) * reached[-1] + 1e-9, "right")
    thresholds: np.ndarray = falling[np.minimum(places, len(falling) - 1)]
    return thresholds
