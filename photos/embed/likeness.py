"""Who looks like whom, over all pairs of N faces, block by block; and how one quantity's order follows another's."""

from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["most", "least", "most, of different people", "least, of one person"]
_ROWS = 256  # of the matrix at once: 100 MB at 100,000 faces


class Pairs(NamedTuple):
    """pairs: int64 (K,2), the extreme one first. cosines: float32 (K,)."""

    pairs: np.ndarray
    cosines: np.ndarray


def extreme_pairs(unit: np.ndarray, people: list[str | None], count: int) -> dict[Kind, Pairs]:
    """The `count` most and least similar pairs of unit rows (N,D); where people are known, also the most similar of
    different ones and the least similar of one."""
    known = {person: number for number, person in enumerate(sorted({p for p in people if p is not None}))}
    number = np.array([-1 if person is None else known[person] for person in people])
    found: dict[Kind, list[tuple[np.ndarray, np.ndarray]]] = {"most": [], "least": []}
    if known:
        found |= {"most, of different people": [], "least, of one person": []}
    for start in range(0, len(unit), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(unit)))
        cosines = unit[rows] @ unit[start:].T
        later = np.arange(start, len(unit)) > rows[:, None]
        same = (number[rows, None] == number[start:]) & (number[rows, None] >= 0)
        both_known = (number[rows, None] >= 0) & (number[start:] >= 0)
        for kind, kept in found.items():
            allowed = later & (same if kind == "least, of one person" else True)
            allowed = allowed & (both_known & ~same if kind == "most, of different people" else True)
            kept.append(_highest(cosines if kind.startswith("most") else -cosines, allowed, count, start))
    return {kind: _merged(kept, count, 1 if kind.startswith("most") else -1) for kind, kept in found.items()}


def _highest(scores: np.ndarray, allowed: np.ndarray, count: int, start: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.flatnonzero(allowed)
    of_allowed = scores.ravel()[places]
    if len(places) > count:
        chosen = np.argpartition(-of_allowed, count - 1)[:count]
        places, of_allowed = places[chosen], of_allowed[chosen]
    row, column = np.divmod(places, scores.shape[1])
    return np.stack([row + start, column + start], 1), of_allowed


def _merged(kept: list[tuple[np.ndarray, np.ndarray]], count: int, sign: int) -> Pairs:
    pairs, scores = (np.concatenate(part) for part in zip(*kept, strict=True))
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))[:count]
    return Pairs(pairs[order], sign * scores[order])


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rho of two (N,) arrays, ties sharing their mean rank; None where one is constant or has NaN."""
    if len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    ranks = np.stack([_ranks(first), _ranks(second)])
    ranks -= ranks.mean(1, keepdims=True)
    lengths = np.sqrt((ranks**2).sum(1))
    return None if not lengths.all() else float(ranks[0] @ ranks[1] / (lengths[0] * lengths[1]))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
