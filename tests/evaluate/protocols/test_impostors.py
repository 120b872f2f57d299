"""Millions of pairs are scored in float32; their rates and thresholds must be those of float64 all the same."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from evaluate.protocols.impostors import RoundedScores, SortedScores
from evaluate.protocols.templates import FARS, evaluate_templates

DIM, LEVELS = 16, 60


def near_ties(seed, pairs=20_000):
    """Templates around a pole: the cosines of every twelfth with it crowd, 1e-10 apart, which float32 sees as ties.

    Genuine pairs are all in the crowds. Some pairs are listed twice, which are ties in float64 too.
    """
    rng = np.random.default_rng(seed)
    level = np.linspace(0.1, 1.4, LEVELS)[rng.integers(0, LEVELS, pairs)] + 1e-10 * rng.integers(-50, 51, pairs)
    crowd = np.arange(pairs) % 12 == 0
    level[~crowd] = rng.uniform(0.05, 1.5, (~crowd).sum())
    rows = np.zeros((pairs + 1, DIM))
    rows[0, 0] = 1
    rows[np.arange(1, pairs + 1), rng.integers(1, DIM, pairs)] = np.sin(level)
    rows[1:, 0] = np.cos(level)
    rows = rows @ np.linalg.qr(rng.standard_normal((DIM, DIM)))[0]
    second = np.append(np.arange(1, pairs + 1), rng.integers(1, pairs + 1, pairs // 5))
    same = crowd[second - 1] & (rng.random(len(second)) < 0.3 * np.cos(level)[second - 1])
    ids = np.arange(pairs + 1)
    meta = {"templates": ids, "medias": ids, "faceness_scores": np.ones(len(ids))}
    return rows, meta | {"p1": np.zeros(len(second), int), "p2": second, "label": same.astype(int)}


def nearest(fpr, target):
    distance = np.abs(fpr - target)
    return len(distance) - 1 - np.argmin(distance[::-1])


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_near_ties_of_a_large_protocol_are_told_apart_as_float64_tells_them(monkeypatch, seed):
    monkeypatch.setattr("evaluate.protocols.templates._EXACT_PAIRS", 0)
    monkeypatch.setattr("evaluate.protocols.metrics._REACH", 8)
    monkeypatch.setattr(RoundedScores, "_decide_all", lambda self: pytest.fail("all were decided, not the few"))
    rows, meta = near_ties(seed)
    result = evaluate_templates(rows, meta, fars=(*FARS, 0.3, 0.77)).poolings["N1D1"]
    unit = rows / np.sqrt(np.einsum("td,td->t", rows, rows))[:, None]
    scores = np.einsum("pd,pd->p", unit[meta["p1"]], unit[meta["p2"]])
    same = meta["label"] == 1
    fpr, tpr, thresholds = roc_curve(same, scores)
    assert len(np.unique(scores.astype(np.float32))) < len(np.unique(scores)) - 1000, "no near-ties to tell apart"
    for far, point in result.tar_at_far.items():
        place = nearest(fpr, far)
        assert (point.far, point.tar) == (fpr[place], tpr[place])
        assert point.threshold == pytest.approx(thresholds[place], rel=0, abs=1e-14) or not np.isfinite(point.threshold)
    for far, point in result.tar_at_most_far.items():
        allowed = [np.mean(scores[same] >= t) for t in thresholds if np.mean(scores[~same] >= t) <= far + 1e-15]
        assert point.tar == max(allowed)
    assert result.auc == pytest.approx(roc_auc_score(same, scores), rel=0, abs=1e-13)


def rounded(exact):
    """The same scores as RoundedScores and exactly, and how many were computed again."""
    rng = np.random.default_rng(1)
    chosen = rng.random(len(exact)) < 0.9
    asked = []

    def again(numbers):
        asked.append(len(numbers))
        return exact[numbers]

    noisy = (exact + rng.uniform(-1e-6, 1e-6, len(exact))).astype(np.float32)
    return RoundedScores(noisy, chosen, again, 1.1e-6), SortedScores(exact[chosen]), asked


SPREAD = np.random.default_rng(0).uniform(-0.9, 0.9, 60_000)
CROWDED = np.round(SPREAD, 1) + 1e-9 * np.random.default_rng(2).integers(-30, 31, len(SPREAD))


@pytest.mark.parametrize("exact", [SPREAD, CROWDED], ids=["spread", "crowded"])
def test_places_and_counts_are_those_of_the_exact_scores(exact):
    ours, plain, _ = rounded(exact)
    for start, stop in [(0, 1), (0, 5), (70, 90), (1500, 1501), (5000, 5100), (len(plain) - 3, len(plain)), (9, 9)]:
        assert np.array_equal(ours.places(start, stop), plain.places(start, stop))
    for values in (exact[:1], np.unique(exact[::600])):
        for found, expected in zip(ours.reaching(values), plain.reaching(values), strict=True):
            assert np.array_equal(found, expected)
    assert np.array_equal(ours.places(0, len(plain)), plain.places(0, len(plain)))


def test_only_scores_close_to_a_question_are_computed_again():
    ours, _, asked = rounded(SPREAD)
    ours.places(100, 103)
    ours.places(20_000, 20_003)
    ours.reaching(SPREAD[:3])
    assert 0 < sum(asked) < 50
