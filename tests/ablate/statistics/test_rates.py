"""Weighted rates against the protocol's own on pairs that are repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.statistics.rates import weighted_accuracy, weighted_tar
from evaluate.protocols import Roc
from evaluate.protocols.verification import ten_fold, verify_distances


@st.composite
def weighted_pairs(draw):
    """Scores on a coarse grid, so that ties happen, both kinds present, and weights of three sets that hold both."""
    count, grid = draw(st.integers(4, 30)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    issame = np.append([True, False], rng.random(count - 2) < 0.5)
    weights = rng.poisson(1.0, (count, 3)).astype(np.int16)
    weights[:2] += 1
    return rng.integers(-grid, grid + 1, count) / 7, issame, weights


@settings(max_examples=300, deadline=None)
@given(weighted_pairs(), st.sampled_from([0.0, 1e-3, 0.01, 0.1, 0.25, 0.5, 1.0]))
def test_the_tar_of_weights_is_the_curves_on_pairs_that_are_there_so_often(case, far):
    scores, issame, weights = case
    rates = weighted_tar(scores, issame, far)(weights)
    for column, rate in zip(weights.T, rates, strict=True):
        again = np.repeat(np.arange(len(scores)), column)
        assert rate == Roc.of(scores[again], issame[again]).tar_at_most(far).tar


@pytest.mark.parametrize("grid", [10, 1000])
def test_the_accuracy_of_weights_is_the_protocols_on_pairs_that_are_there_so_often(grid):
    rng = np.random.default_rng(grid)
    issame = np.arange(80) % 2 == 0
    scores = np.round((0.3 * issame + 0.3 * rng.normal(size=80)).clip(-1, 1) * grid) / grid
    # Eight of eight pairs in every fold, so that the protocol's folds of the repeated pairs are the same.
    weights = np.stack(
        [np.concatenate([rng.multinomial(8, np.full(8, 1 / 8)) for _ in range(10)]) for _ in range(40)], axis=1
    ).astype(np.int16)
    weights[:, 0] = 1
    rates = weighted_accuracy(scores, issame)(weights)
    compared = 0
    for column, rate in zip(weights.T, rates, strict=True):
        again = np.repeat(np.arange(80), column)
        if all(0 < fold.sum() < 8 for fold in np.array_split(issame[again], 10)):
            assert rate == pytest.approx(verify_distances(2 - 2 * scores[again], issame[again]).accuracy, abs=1e-12)
            compared += 1
    assert compared > 10
    assert len(np.unique(rates)) > 10


@pytest.mark.parametrize("pairs", [60, 64])
def test_every_pair_once_gives_the_protocols_accuracy_and_curve(pairs):
    rng = np.random.default_rng(1)
    issame = np.arange(pairs) % 2 == 0
    rows = rng.normal(size=(2, pairs, 8))
    rows[1, issame] = rows[0, issame] + rng.normal(size=(issame.sum(), 8))
    rows[1, 0], rows[1, 1] = rows[0, 0], -rows[0, 1]  # distances 0 and 4, at the ends of the thresholds
    result = ten_fold(rows[0], rows[1], issame)
    scores, once = 1 - result.distances / 2, np.ones((pairs, 1), np.int16)
    assert 0.5 < result.accuracy < 1
    assert weighted_accuracy(scores, issame)(once)[0] == pytest.approx(result.accuracy, abs=1e-12)
    assert weighted_tar(scores, issame, 0.1)(once)[0] == result.roc().tar_at_most(0.1).tar


@pytest.mark.parametrize("features", ["plain_f64", "flipsum_f64"])
def test_golden_distances_give_the_accuracy_and_tar_of_the_protocol(golden, features):
    stored = np.load(golden / "verification/lfw_folds12.npz")
    distances, issame = stored[f"dist_{features}"], stored["issame"]
    result = verify_distances(distances, issame)
    scores = 1 - distances / 2
    ones = np.ones((len(issame), 1), np.int16)
    assert weighted_accuracy(scores, issame)(ones)[0] == pytest.approx(result.accuracy, abs=1e-12)
    for far, point in result.tar_at_most_far.items():
        assert weighted_tar(scores, issame, far)(ones)[0] == point.tar


def test_thresholds_that_are_left_are_those_of_the_set_as_measured():
    rng = np.random.default_rng(3)
    issame = np.tile([True, False], 60)
    scores = rng.normal(size=120) / 4 + issame / 3
    result = verify_distances(np.maximum(2 - 2 * scores, 0), issame)
    weights = rng.poisson(1.0, (120, 5)).astype(np.int16)
    fold = np.repeat(np.arange(10), 12)
    well = (np.maximum(2 - 2 * scores, 0) < np.array(result.fold_thresholds)[fold]) == issame
    expected = [
        np.mean([weights[fold == k, s] @ well[fold == k] / weights[fold == k, s].sum() for k in range(10)])
        for s in range(5)
    ]
    np.testing.assert_allclose(weighted_accuracy(scores, issame, anew=False)(weights), expected)
    anew = weighted_accuracy(scores, issame)(weights)
    assert not np.allclose(anew, expected)
