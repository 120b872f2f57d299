"""What an export loses on a verification set, pair by pair against float32, with intervals.

Both models see the same pairs, so pairs are drawn again together (bootstrap): the interval is of the difference, far
narrower than either rate's own. Pairs that share people are taken for independent.
"""

import numpy as np

from evaluate.protocols import VerificationResult, shown_at
from export.gate import Loss

DRAWS = 2000
FARS = (1e-3, 1e-2)


def accuracy_loss(base: VerificationResult, other: VerificationResult) -> Loss:
    """Loss of accuracy; a pair is right or wrong at the threshold of its fold, as the protocol calls it."""
    assert np.array_equal(base.issame, other.issame)
    change = _right(base).astype(np.float64) - _right(other)
    means = change[_draws(len(change), 0)].mean(axis=1)
    return _loss(other.accuracy, base.accuracy - other.accuracy, means)


def far_shown(base: VerificationResult) -> float | None:
    """The strictest of `FARS` that the impostors can show; None where they can show none."""
    return next((far for far in FARS if shown_at(far, base.impostors)), None)


def tar_loss(base: VerificationResult, other: VerificationResult, far: float) -> Loss:
    """Loss of TAR at a FAR of at most `far`, each model at its own threshold, which every draw finds anew."""
    same = base.issame
    genuine, impostor = _draws(int(same.sum()), 1), _draws(int((~same).sum()), 2)
    allowed = int(far * (~same).sum() + 1e-9)
    rates, drawn = [], []
    for result in (base, other):
        rates.append(_tar(result.distances[same][None], result.distances[~same][None], allowed)[0])
        drawn.append(_tar(result.distances[same][genuine], result.distances[~same][impostor], allowed))
    return _loss(float(rates[1]), float(rates[0] - rates[1]), drawn[0] - drawn[1])


def _right(result: VerificationResult) -> np.ndarray:
    """bool (P,): the pairs called rightly; folds are consecutive blocks."""
    blocks = np.array_split(result.distances, len(result.fold_thresholds))
    called = [block < threshold for block, threshold in zip(blocks, result.fold_thresholds, strict=True)]
    right: np.ndarray = np.concatenate(called) == result.issame
    return right


def _tar(genuine: np.ndarray, impostor: np.ndarray, allowed: int) -> np.ndarray:
    """Share of genuine distances (R,G) below the impostor (R,I) that comes after the `allowed` nearest."""
    cut = np.partition(impostor, allowed, axis=1)[:, allowed]
    shares: np.ndarray = (genuine < cut[:, None]).mean(axis=1)
    return shares


def _draws(count: int, stream: int) -> np.ndarray:
    return np.random.default_rng([7, stream]).integers(0, count, (DRAWS, count), dtype=np.int32)


def _loss(rate: float, loss: float, drawn: np.ndarray) -> Loss:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Loss(rate=rate, loss=loss, low=float(low), high=float(high))
