"""The ROC curve against scikit-learn and brute force, ties included."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from common.errors import DataError
from evaluate.protocols import metrics
from evaluate.protocols.metrics import Roc

TARGETS = (0.0, 1e-6, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.5, 0.77, 1.0)


@st.composite
def labelled_scores(draw):
    """Scores on a coarse grid, so that ties of every kind happen, with both labels present."""
    count = draw(st.integers(2, 40))
    grid = draw(st.integers(1, 30))
    scores = draw(st.lists(st.integers(-grid, grid), min_size=count, max_size=count))
    same = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return np.array(scores) / 7, np.array([True, False, *same[2:]])


@settings(max_examples=400, deadline=None)
@given(labelled_scores(), st.sampled_from([1, 3, 1024]))
def test_tar_nearest_is_the_nearest_point_of_sklearns_curve(case, reach):
    scores, same = case
    # How much of a run of impostors is looked at first must not matter.
    with patch.object(metrics, "_REACH", reach):
        assert_nearest_points(scores, same)


def assert_nearest_points(scores, same):
    fpr, tpr, thresholds = roc_curve(same, scores)
    for target in TARGETS:
        distance = np.abs(fpr - target)
        best = len(distance) - 1 - np.argmin(distance[::-1])
        point = Roc.of(scores, same).tar_nearest(target)
        assert (point.far, point.tar, point.threshold) == (fpr[best], tpr[best], thresholds[best])


@given(labelled_scores())
@settings(max_examples=200, deadline=None)
def test_tar_at_most_never_exceeds_the_target_and_nothing_better_exists(case):
    scores, same = case
    for target in TARGETS:
        point = Roc.of(scores, same).tar_at_most(target)
        assert point.far == np.mean(scores[~same] >= point.threshold) <= target
        assert point.tar == np.mean(scores[same] >= point.threshold)
        rivals = [np.mean(scores[same] >= t) for t in scores if np.mean(scores[~same] >= t) <= target]
        assert point.tar == max(rivals, default=0.0)


@given(labelled_scores())
@settings(max_examples=200, deadline=None)
def test_auc_and_eer_against_brute_force(case):
    scores, same = case
    roc = Roc.of(scores, same)
    assert roc.auc() == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    walk = np.linspace(0, len(fpr) - 1, 20001)
    far, frr = np.interp(walk, np.arange(len(fpr)), fpr), 1 - np.interp(walk, np.arange(len(fpr)), tpr)
    assert roc.eer() == pytest.approx(far[np.argmin(np.abs(far - frr))], abs=5e-3)


def test_three_false_accepts_of_3000_are_far_1e_3():
    scores = np.arange(3001) / 3001
    same = np.zeros(3001, bool)
    same[2997] = True  # three impostors above it
    assert Roc.of(scores, same).tar_at_most(1e-3).tar == 1.0


@pytest.mark.parametrize("same", [[True, True], [False, False]])
def test_one_kind_of_pair_is_refused(same):
    with pytest.raises(DataError, match="need both genuine and impostor"):
        Roc.of(np.array([0.1, 0.2]), np.array(same))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(wrong):
    with pytest.raises(DataError, match="NaN or infinity"):
        Roc.of(np.array([0.1, 0.2, wrong]), np.array([True, False, False]))


@pytest.mark.parametrize("reach", [1, 2, 3, 5])
@pytest.mark.parametrize("ties", [2, 3])
def test_ties_cut_by_the_piece_looked_at_make_no_corner(reach, ties):
    impostor = np.repeat(np.arange(30) / 30, ties)
    scores = np.concatenate([impostor, [2.0, -1.0]])
    with patch.object(metrics, "_REACH", reach):
        assert_nearest_points(scores, np.arange(len(scores)) >= len(impostor))
