"""Thresholds at a FAR against their definition, people found in a set, and intervals that hold what they promise."""

import numpy as np
import pytest

from common.errors import DataError
from evaluate.pair_people import people_of_pairs
from evaluate.protocols.far_thresholds import operating_points, repeating
from evaluate.protocols.metrics import Roc


def scores(seed, pairs=400, digits=2):
    """Cosines with many ties, and which pairs are one person's."""
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.4
    return np.round(rng.normal(np.where(same, 0.5, 0.1), 0.2), digits), same


@pytest.mark.parametrize("seed", range(5))
def test_a_threshold_accepts_at_most_its_far_and_the_next_lower_cosine_would_accept_more(seed):
    cosines, same = scores(seed)
    strangers = cosines[~same]
    fars = (1 / len(strangers), 0.01, 0.05, 0.3)
    points = operating_points(cosines, same, fars, resamples=200)
    assert [point.far for point in points] == list(fars)
    for point in points:
        assert (strangers > point.threshold).mean() <= point.far + 1e-12
        lower = strangers[strangers < point.threshold].max()
        assert (strangers > lower).mean() > point.far
        assert point.tar == Roc.of(cosines, same).tar_at_most(point.far).tar
        assert point.low <= point.threshold <= point.high


def test_a_far_finer_than_one_pair_of_strangers_is_left_out():
    cosines, same = scores(0)
    impostors = int((~same).sum())
    points = operating_points(cosines, same, (0.5 / impostors, 1 / impostors, 0.1), resamples=5)
    assert [point.far for point in points] == [1 / impostors, 0.1]


def test_one_kind_of_pair_and_cosines_that_are_no_numbers_are_refused():
    cosines, same = scores(0)
    with pytest.raises(DataError, match="no pairs of strangers"):
        operating_points(cosines, np.ones_like(same), (0.1,))
    with pytest.raises(DataError, match="pair 3 has a cosine that is NaN"):
        operating_points(np.where(np.arange(len(cosines)) == 3, np.nan, cosines), same, (0.1,))


def test_people_are_those_linked_by_equal_pictures_and_genuine_pairs():
    pictures = [b"a1", b"a2", b"a2", b"a3", b"b1", b"a3", b"c1", b"d1"]
    same = np.array([True, True, False, False])
    people = repeating(people_of_pairs(pictures, same))
    assert people is not None
    of = dict(zip(pictures, people.ravel().tolist(), strict=True))
    assert of[b"a1"] == of[b"a2"] == of[b"a3"]
    assert len({of[b"a1"], of[b"b1"], of[b"c1"], of[b"d1"]}) == 4
    assert sorted(np.unique(people)) == [0, 1, 2, 3]


def test_without_anybody_in_two_pairs_pairs_are_drawn():
    assert repeating(people_of_pairs([b"a", b"b", b"c", b"d"], np.array([True, False]))) is None
    assert repeating(people_of_pairs([b"a", b"a", b"c", b"d"], np.array([True, False]))) is None


def mistaken(rng, persons, pairs, true_spread):
    """Cosines of strangers that hang on how easily each of the two is mistaken; and who they are."""
    ease = rng.normal(0, true_spread, persons)
    people = np.array([rng.choice(persons, 2, replace=False) for _ in range(pairs)])
    return ease[people].sum(axis=1) + rng.normal(0, 0.1, pairs), people


def test_intervals_over_people_hold_the_true_threshold_where_those_over_pairs_do_not():
    rng = np.random.default_rng(0)
    far, spread = 0.2, 0.15
    truth = np.sqrt(2 * spread**2 + 0.1**2) * 0.841621  # the normal quantile of 1 - far
    covered = {"people": 0, "pairs": 0}
    sets = 60
    for _ in range(sets):
        cosines, people = mistaken(rng, 60, 600, spread)
        same = np.append(np.zeros(600, bool), True)
        everybody = np.append(people, [[0, 0]], axis=0)
        for name, drawn in (("people", everybody), ("pairs", None)):
            (point,) = operating_points(np.append(cosines, 0.9), same, (far,), drawn, resamples=150)
            covered[name] += point.low <= truth <= point.high
    assert covered["people"] >= 0.9 * sets
    assert covered["pairs"] < 0.8 * sets
