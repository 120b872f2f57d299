"""What an export may lose, what of that is chance, and what is said."""

import numpy as np
import pytest

from evaluate.protocols import ten_fold
from export.gate import LIMITS, Loss, Measured, judged, read_measured, table, write_measured
from export.losses import accuracy_loss, far_shown, tar_loss


def verified(noise: float, seed: int = 1, pairs: int = 2400):
    """Pairs of which half share a direction, under so much noise; the same pairs for every noise."""
    rng = np.random.default_rng(0)
    same = np.arange(pairs) % 2 == 0
    first = rng.standard_normal((pairs, 16))
    second = np.where(same[:, None], first + 0.7 * rng.standard_normal((pairs, 16)), rng.standard_normal((pairs, 16)))
    other = np.random.default_rng(seed)
    return ten_fold(*(x + noise * other.standard_normal(x.shape) for x in (first, second)), same)


def row(**changes) -> Measured:
    values = {
        "file": "model.int8.onnx",
        "precision": "int8",
        "bytes": 30,
        "cosine_mean": 0.999,
        "cosine_q01": 0.99,
        "accuracy": {"lfw": Loss(rate=0.99, loss=0.001, low=-0.001, high=0.003)},
        "far": {"lfw": 0.001},
        "tar": {"lfw": Loss(rate=0.95, loss=0.002, low=-0.01, high=0.014)},
        "latency_ms": {"1x1": 2.0, "32x2": 30.0},
    }
    return Measured.model_validate(values | changes)


BASE = row(file="model.onnx", bytes=100, latency_ms={"1x1": 4.0, "32x2": 60.0})


def test_nothing_is_lost_to_oneself_and_the_interval_is_a_point():
    whole = verified(0.2)
    for loss in (accuracy_loss(whole, whole), tar_loss(whole, whole, 1e-2)):
        assert (loss.loss, loss.low, loss.high) == (0, 0, 0)


def test_a_loss_is_the_difference_of_both_rates_and_its_interval_is_that_of_pairs():
    whole, worse = verified(0.2), verified(0.6)
    loss = accuracy_loss(whole, worse)
    assert loss.rate == worse.accuracy
    assert loss.loss == pytest.approx(whole.accuracy - worse.accuracy)
    assert 0 < loss.low < loss.loss < loss.high
    # Of n pairs, b were right before and c are right now only: the difference's standard error by McNemar.
    folds = len(whole.fold_thresholds)
    right = [
        np.concatenate([d < t for d, t in zip(np.array_split(r.distances, folds), r.fold_thresholds, strict=True)])
        == r.issame
        for r in (whole, worse)
    ]
    only_before, only_now = (right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum()
    error = np.sqrt(only_before + only_now - (only_before - only_now) ** 2 / whole.pairs) / whole.pairs
    assert loss.high - loss.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_tar_is_the_protocols_own_and_a_far_is_one_the_impostors_show():
    whole, worse = verified(0.2), verified(0.6)
    far = far_shown(whole)
    assert far == 1e-3  # 1,200 impostors
    assert far_shown(verified(0.2, pairs=600)) == 1e-2
    assert far_shown(verified(0.2, pairs=100)) is None
    loss = tar_loss(whole, worse, 1e-3)
    assert loss.rate == pytest.approx(worse.tar_at_most_far[1e-3].tar)
    assert loss.loss == pytest.approx(whole.tar_at_most_far[1e-3].tar - worse.tar_at_most_far[1e-3].tar)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cosine_mean": 0.99}, "mean cosine 0.9900 is below 0.995"),
        ({"cosine_q01": 0.5}, "1 % quantile of cosines 0.5000 is below 0.98"),
        ({"cosine_mean": float("nan")}, "mean cosine nan is below 0.995"),
        ({"accuracy": {"lfw": Loss(rate=0.9, loss=0.004, low=0, high=0.01)}}, "accuracy on lfw loses 0.40 points"),
        ({"tar": {"lfw": Loss(rate=0.9, loss=0.02, low=0, high=0.03)}}, "TAR on lfw loses 2.00 points, more than 1"),
    ],
)
def test_each_limit_fails_a_file_and_says_which_and_by_how_much(changes, said):
    verdict = judged(row(**changes), BASE, LIMITS)
    assert not verdict.passed
    assert said in verdict.reason


def test_one_that_is_slower_or_no_smaller_passes_and_says_so():
    assert (judged(row(), BASE).passed, judged(row(), BASE).reason) == (True, "")
    slow = judged(row(latency_ms={"1x1": 5.0, "32x2": 30.0}, bytes=120), BASE)
    assert slow.passed
    assert slow.reason == "slower than float32 at batch 1, 1 thread: 5.0 ms, not 4.0; no smaller than float32"
    assert any(line == f"model.int8.onnx: {slow.reason}" for line in table([BASE, slow]))


def test_rows_come_back_from_disk_as_they_were(tmp_path):
    rows = [BASE, judged(row(cosine_mean=0.9), BASE)]
    write_measured(tmp_path, rows)
    assert read_measured(tmp_path) == rows
    assert any("FAILED: mean cosine" in line for line in table(rows))
