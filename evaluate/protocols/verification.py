"""Pair verification by k-fold cross-validation, as on LFW: accuracy, VAL at a FAR, and the pooled ROC curve.

Conventions (InsightFace's `verification.py`, which CVLface and AdaFace share):

- embeddings are scaled to unit length in float64; the distance of a pair is the *squared* Euclidean one, 0 to 4;
- a pair is called same when `distance < threshold`, so a threshold exactly reached counts as different;
- accuracy thresholds are 0, 0.01 .. 3.99, the first best on the other folds is used on the held-out fold;
- folds are consecutive blocks of pairs in file order, never shuffled;
- VAL@FAR is the true accept rate on the held-out fold at the threshold where the FAR on the other folds is
  `val_far_target`, interpolated in steps of 0.001 (`_threshold_at_far` says how).
"""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from common.errors import DataError
from common.vectors import unit_rows
from evaluate.protocols.metrics import Point, Roc, summarised

ACCURACY_STEP, VAL_STEP, LARGEST_DISTANCE = 0.01, 0.001, 4.0
FAR_TARGETS = (1e-3, 1e-2)  # 1e-4 would be less than one of LFW's 3,000 impostor pairs
# Pairs whose differences are held at once: 256 x 512 float64 stay in a core's cache.
_BLOCK = 256


@dataclass(frozen=True)
class VerificationResult:
    """What `ten_fold` measures on one set of pairs. Rates are fractions; standard deviations are over folds."""

    pairs: int
    accuracy: float
    accuracy_std: float
    fold_accuracy: list[float]
    threshold: float  # mean of the folds' thresholds, a squared distance
    fold_thresholds: list[float]
    val: float
    val_std: float
    val_far: float  # the FAR that VAL really had on the held-out folds
    val_far_target: float
    auc: float
    eer: float
    tar_at_far: dict[float, Point]  # the curve's corner nearest to each FAR; may lie above it
    tar_at_most_far: dict[float, Point]  # the conservative reading
    xnorm: float | None  # mean embedding length before normalisation
    fpr: np.ndarray  # (400,) mean over folds, at thresholds 0, 0.01 .. 3.99
    tpr: np.ndarray  # (400,)
    distances: np.ndarray  # (P,) float64
    issame: np.ndarray  # (P,) bool
    norms: np.ndarray | None = None  # (2P,) length of each embedding, pair i at 2i and 2i + 1
    people: np.ndarray | None = None  # int64 (P,2), who is on either side (evaluate/pair_people.py)

    @property
    def impostors(self) -> int:
        """Pairs of different people."""
        return self.pairs - int(self.issame.sum())

    @property
    def cosine_threshold(self) -> float:
        """`threshold` as a cosine."""
        return 1 - self.threshold / 2

    def summary(self) -> dict[str, Any]:
        """The numbers for JSON: everything but the long arrays. Thresholds are cosines, and beside them the squared
        distances that the protocol works with."""
        special = {"fpr", "tpr", "distances", "issame", "norms", "people", "threshold", "fold_thresholds"}
        special |= {"tar_at_far", "tar_at_most_far"}
        numbers = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in special}
        numbers["genuine"] = self.pairs - self.impostors
        numbers |= {"threshold": self.cosine_threshold, "threshold_squared_distance": self.threshold}
        numbers["fold_thresholds"] = [1 - distance / 2 for distance in self.fold_thresholds]
        numbers["fold_thresholds_squared_distance"] = self.fold_thresholds
        for name in ("tar_at_far", "tar_at_most_far"):
            cosines = {
                far: replace(point, threshold=1 + point.threshold / 2) for far, point in getattr(self, name).items()
            }
            numbers[name] = summarised(cosines, self.impostors)
        return numbers

    def roc(self) -> Roc:
        """The pooled curve over all pairs; a score is minus the distance."""
        return Roc.of(-self.distances, self.issame)


def ten_fold(
    emb_a: np.ndarray,
    emb_b: np.ndarray,
    issame: np.ndarray,
    folds: int = 10,
    val_far_target: float = 1e-3,
    far_targets: tuple[float, ...] = FAR_TARGETS,
    xnorm: float | None = None,
    norms: np.ndarray | None = None,
) -> VerificationResult:
    """Verify pairs of embeddings: emb_a, emb_b (P,D) of any length per row, issame (P,).

    Mirrored faces are the caller's affair: add the two embeddings first (`common.embeddings`). A row of zeros stays
    zero, at distance 1 from every other. Raises DataError for shapes that do not match, NaN or infinity, fewer pairs
    than folds, and folds that hold only one kind of pair (then VAL divides by zero). `xnorm` (mean embedding length)
    and `norms` (2P,) are passed through to the result.
    """
    distances = pair_distances(emb_a, emb_b)
    return verify_distances(distances, issame, folds, val_far_target, far_targets, xnorm, norms)


def pair_distances(emb_a: np.ndarray, emb_b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (P,), float64, between unit-length rows of two (P,D) arrays."""
    emb_a, emb_b = np.asarray(emb_a), np.asarray(emb_b)
    if emb_a.ndim != 2 or emb_a.shape != emb_b.shape:
        raise DataError(
            f"embeddings of pairs must be two (P, D) arrays of one shape, not {emb_a.shape} and {emb_b.shape}"
        )
    distances = np.empty(len(emb_a))
    for start in range(0, len(emb_a), _BLOCK):
        rows = slice(start, start + _BLOCK)
        # The difference itself, not 2 - 2 cos: identical rows must come out at exactly zero.
        difference = unit_rows(emb_a[rows]) - unit_rows(emb_b[rows])
        distances[rows] = np.einsum("pd,pd->p", difference, difference)
    return distances


def verify_distances(
    distances: np.ndarray,
    issame: np.ndarray,
    folds: int = 10,
    val_far_target: float = 1e-3,
    far_targets: tuple[float, ...] = FAR_TARGETS,
    xnorm: float | None = None,
    norms: np.ndarray | None = None,
) -> VerificationResult:
    """`ten_fold` for squared distances (P,) that are already known."""
    distances, issame = np.asarray(distances, np.float64), np.asarray(issame).astype(bool)
    if distances.ndim != 1 or distances.shape != issame.shape:
        raise DataError(f"{len(distances)} distances for {len(issame)} labels")
    if not np.isfinite(distances).all():
        raise DataError(f"pair {int(np.argmin(np.isfinite(distances)))} has a distance that is NaN or infinite")
    fold = pair_folds(issame, folds)

    thresholds = np.arange(0, LARGEST_DISTANCE, ACCURACY_STEP)
    counts = _accepted(distances, issame, fold, folds, thresholds)
    different, same = _sizes(issame, fold, folds)
    right = counts[1] + (different[:, None] - counts[0])  # (folds, thresholds)
    best = np.argmax(right.sum(axis=0) - right, axis=1)
    fold_accuracy = right[np.arange(folds), best] / (different + same)

    val_thresholds = np.arange(0, LARGEST_DISTANCE, VAL_STEP)
    far_elsewhere = _accepted(distances, issame, fold, folds, val_thresholds)[0]
    far_elsewhere = (far_elsewhere.sum(axis=0) - far_elsewhere) / (different.sum() - different)[:, None]
    cuts = np.array([_threshold_at_far(far, val_thresholds, val_far_target) for far in far_elsewhere])
    taken = distances < cuts[fold]
    val = np.bincount(fold[taken & issame], minlength=folds) / same
    val_far = np.bincount(fold[taken & ~issame], minlength=folds) / different

    roc = Roc.of(-distances, issame)
    return VerificationResult(
        pairs=len(issame),
        accuracy=float(fold_accuracy.mean()),
        accuracy_std=float(fold_accuracy.std()),
        fold_accuracy=fold_accuracy.tolist(),
        threshold=float(thresholds[best].mean()),
        fold_thresholds=thresholds[best].tolist(),
        val=float(val.mean()),
        val_std=float(val.std()),
        val_far=float(val_far.mean()),
        val_far_target=val_far_target,
        auc=roc.auc(),
        eer=roc.eer(),
        tar_at_far={far: roc.tar_nearest(far) for far in far_targets},
        tar_at_most_far={far: roc.tar_at_most(far) for far in far_targets},
        xnorm=xnorm,
        fpr=(counts[0] / different[:, None]).mean(axis=0),
        tpr=(counts[1] / same[:, None]).mean(axis=0),
        distances=distances,
        issame=issame,
        norms=norms,
    )


def pair_folds(issame: np.ndarray, folds: int = 10) -> np.ndarray:
    """The fold of each pair, int (P,): consecutive blocks, the first `P % folds` of them one pair longer.

    Raises DataError for fewer pairs than folds, and for a fold that holds only one kind of pair.
    """
    if not 2 <= folds <= len(issame):
        raise DataError(f"{len(issame)} pairs cannot be split into {folds} folds: give a set of more")
    fold = np.repeat(np.arange(folds), [len(block) for block in np.array_split(issame, folds)])
    for kind, sizes in zip(("different", "same"), _sizes(issame, fold, folds), strict=True):
        if not sizes.all():
            raise DataError(
                f"fold {int(np.argmin(sizes)) + 1} of {folds} has no pair of {kind} people; every block of "
                "consecutive pairs needs both kinds: reorder the pairs in the file"
            )
    return fold


def _sizes(issame: np.ndarray, fold: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of different and of same people in each fold."""
    return np.bincount(fold[~issame], minlength=folds), np.bincount(fold[issame], minlength=folds)


def _accepted(
    distances: np.ndarray, issame: np.ndarray, fold: np.ndarray, folds: int, thresholds: np.ndarray
) -> np.ndarray:
    """Pairs with `distance < threshold`, as counts (kind, folds, thresholds); kind 0 is different, 1 same people."""
    first_accepting = np.searchsorted(thresholds, distances, "right")
    width = len(thresholds) + 1
    cell = (issame * folds + fold) * width + first_accepting
    histogram = np.bincount(cell, minlength=2 * folds * width).reshape(2, folds, width)
    return histogram.cumsum(axis=2)[:, :, :-1]


def _threshold_at_far(far: np.ndarray, thresholds: np.ndarray, target: float) -> float:
    """The threshold where a rising FAR curve reaches `target`; 0 if it never does, so that nothing is accepted.

    FAR is a staircase: many thresholds share one value. Between two stairs the line runs from the *last* threshold of
    the lower stair to the *first* of the higher, as SciPy up to 1.8.1 drew it for InsightFace. (SciPy from 1.9.3 on
    raises on repeated values; keeping only each stair's first threshold, as a known repair does, moves VAL by
    tens of percent.)
    """
    if far[-1] < target:
        return 0.0
    above = int(np.searchsorted(far, target, "right"))
    if above == 0 or above == len(far):
        return float(thresholds[min(above, len(far) - 1)])
    share = (target - far[above - 1]) / (far[above] - far[above - 1])
    return float(thresholds[above - 1] + share * (thresholds[above] - thresholds[above - 1]))
