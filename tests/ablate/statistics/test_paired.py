"""Two students on the same pairs: intervals and what they are laid around."""

import numpy as np
import pytest

from ablate.statistics.paired import OnSamePairs
from ablate.statistics.rates import weighted_accuracy, weighted_tar
from ablate.statistics.resampling import Resampled
from evaluate.protocols.verification import verify_distances


def two_students(better=0.0, pairs=400):
    rng = np.random.default_rng(0)
    issame = np.arange(pairs) % 2 == 0
    common = 0.1 * rng.normal(size=pairs)
    scores = 0.3 * issame + common + 0.08 * rng.normal(size=(2, pairs))
    scores[1] += better * issame
    return scores, issame


@pytest.mark.parametrize("far", [None, 0.05])
@pytest.mark.parametrize("repeat", [False, True])
def test_a_difference_is_found_and_turned_about_with_its_students(far, repeat):
    scores, issame = two_students(0.25)
    first = np.arange(400) % 100
    people = np.stack([first, np.where(issame, first, first + 1)], axis=1) if repeat else None
    students = OnSamePairs(scores, issame, people, far)
    found, back = students.compare([1], [0]), students.compare([0], [1])
    assert found.over == ("people" if repeat else "pairs")
    assert found.p < 0.01
    assert 0 < found.low < found.difference < found.high
    assert (back.difference, back.low, back.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert back.p == found.p
    assert students.compare([1], [0], cases=5).smallest_shown > found.smallest_shown


def test_accuracies_differ_as_the_protocol_has_them():
    scores, issame = two_students(0.05)
    accuracy = [verify_distances(2 - 2 * row, issame).accuracy for row in scores]
    found = OnSamePairs(scores, issame, None, None).compare([1], [0])
    assert found.difference == pytest.approx(accuracy[1] - accuracy[0], abs=1e-6)


def test_what_is_hard_for_both_students_does_not_blur_their_difference():
    # All but a twenty-fifth of a score's variance is the pair's own.
    rng = np.random.default_rng(0)
    issame = np.arange(1000) % 2 == 0
    scores = 0.2 * issame + 0.15 * rng.normal(size=1000) + 0.03 * rng.normal(size=(2, 1000))
    for rate in (lambda row: weighted_tar(row, issame, 0.2), lambda row: weighted_accuracy(row, issame)):
        both = Resampled([rate(row) for row in scores], 1000, None)
        apart = np.hypot(both.error(np.array([1.0, 0.0])), both.error(np.array([0.0, 1.0])))
        assert both.error(np.array([1.0, -1.0])) < 0.85 * apart


def test_the_same_student_twice_is_not_told_apart():
    scores, issame = two_students()
    for far in (None, 0.05):
        found = OnSamePairs(scores[[0, 0]], issame, None, far).compare([0], [1])
        assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_that_no_drawn_set_changes_has_no_spread():
    scores, issame = two_students()
    students = OnSamePairs(scores[[0, 0]], issame, None, 0.05)
    assert students.compare([0], [1], measured=0.01) is None


def test_the_students_of_several_seeds_count_by_their_mean():
    scores, issame = two_students(0.1)
    twice = OnSamePairs(scores[[0, 1, 1]], issame, None, 0.05).compare([1, 2], [0])
    once = OnSamePairs(scores, issame, None, 0.05).compare([1], [0])
    assert (twice.difference, twice.low, twice.p) == pytest.approx((once.difference, once.low, once.p))
