"""Accuracy and TAR@FAR of weighted pairs, for many weightings of one set at once.

A pair of weight 2 counts as two, one of weight 0 not at all: that is how a resampled set is written down without
copying scores. Every rate is the protocol's own (evaluate.protocols) on pairs repeated so often; the tests compare.
"""

from collections.abc import Callable

import numpy as np

from evaluate.protocols import ACCURACY_STEP, LARGEST_DISTANCE

# Of the protocol.
_FOLDS = 10
WeightedRate = Callable[[np.ndarray], np.ndarray]
"""Weights (P, B) -> rates (B,), float64."""


def weighted_accuracy(scores: np.ndarray, issame: np.ndarray, anew: bool = True) -> WeightedRate:
    """The ten-fold protocol's accuracy of pairs with cosines (P,), issame bool (P,): `verify_distances`.

    Every pair stays in its fold. anew: each fold's threshold is chosen for every weighting; else all are left where
    pairs of weight one have them.
    """
    thresholds = np.arange(0, LARGEST_DISTANCE, ACCURACY_STEP)
    first_accepting = np.searchsorted(thresholds, np.maximum(2 - 2 * scores, 0), "right")
    # Thresholds below the first of these accept nothing, those above the last nothing more.
    lowest, highest = first_accepting.min() - 1, min(first_accepting.max(), len(thresholds) - 1)
    places = len(thresholds[lowest : highest + 1])
    fold = np.repeat(np.arange(_FOLDS), [len(block) for block in np.array_split(scores, _FOLDS)])
    starts = np.searchsorted(fold, np.arange(_FOLDS))
    judged = np.flatnonzero(first_accepting <= highest)
    cell = fold * places + first_accepting - lowest
    by_cell = judged[np.argsort(cell[judged], kind="stable")]
    cells, first_of_cell = np.unique(cell[by_cell], return_index=True)
    gain = np.where(issame[by_cell], 1, -1).astype(np.int32)[:, None]
    different = (~issame).astype(np.int32)[:, None]

    def right_and_best(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight judged well by fold and threshold (folds, places, B), and each fold's threshold (folds, B)."""
        sets = weights.shape[1]
        right = np.zeros((_FOLDS * places, sets), np.int32)
        right[cells] = np.add.reduceat(weights[by_cell] * gain, first_of_cell)
        right = right.reshape(_FOLDS, places, sets).cumsum(axis=1, dtype=np.int32)
        right += np.add.reduceat(weights * different, starts)[:, None]
        return right, np.argmax(right.sum(axis=0, dtype=np.int32) - right, axis=1)

    as_measured = right_and_best(np.ones((len(scores), 1), np.int16))[1]
    judged_well = ((first_accepting - lowest <= as_measured[fold, 0]) == issame).astype(np.int16)[:, None]

    def rate(weights: np.ndarray) -> np.ndarray:
        if anew:
            right, best = right_and_best(weights)
            held_out = np.take_along_axis(right, best[:, None], axis=1)[:, 0]
        else:
            held_out = np.add.reduceat(weights * judged_well, starts, dtype=np.int32)
        total = np.add.reduceat(weights, starts, dtype=np.int32)
        accuracy: np.ndarray = (held_out / np.maximum(total, 1)).mean(axis=0)
        return accuracy

    return rate


def weighted_tar(scores: np.ndarray, issame: np.ndarray, far: float) -> WeightedRate:
    """The highest share of genuine weight accepted where at most `far` of the impostor weight is (`Roc.tar_at_most`).

    The threshold is found anew for every weighting.
    """
    genuine_first, impostor_first = (
        kind[np.argsort(-scores[kind], kind="stable")] for kind in (np.flatnonzero(issame), np.flatnonzero(~issame))
    )
    # Impostors accepted when the threshold is each genuine score.
    accepted = np.searchsorted(-scores[impostor_first], -scores[genuine_first], "right")

    def rate(weights: np.ndarray) -> np.ndarray:
        impostors, genuine = (_running(weights[order]) for order in (impostor_first, genuine_first))
        # 1e-9: as in Roc.tar_at_most.
        most = np.count_nonzero(impostors[1:] <= far * impostors[-1] + 1e-9, axis=0)
        good = np.searchsorted(accepted, most, "right")
        hits = np.take_along_axis(genuine, good[None], axis=0)[0]
        tar: np.ndarray = hits / np.maximum(genuine[-1], 1)
        return tar

    return rate


def _running(weights: np.ndarray) -> np.ndarray:
    """Sums of the first 0 .. P rows, int32 (P + 1, B)."""
    sums = np.zeros((len(weights) + 1, weights.shape[1]), np.int32)
    np.cumsum(weights, axis=0, out=sums[1:])
    return sums
