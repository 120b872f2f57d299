"""Drawn pairs and people against loops that copy pairs, and the errors they give against sums over pairs of pairs."""

import numpy as np
import pytest

from ablate.statistics.rates import weighted_tar
from ablate.statistics.resampling import (
    Resampled,
    draw_impostors,
    draw_pairs,
    draw_people,
    resample,
    somebody_repeats,
    weights_of,
)
from evaluate.protocols import Roc


def crowd(pairs, people, seed=0):
    """Who is on each of so many pairs, the first half genuine."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, people, pairs)
    second = np.where(np.arange(pairs) < pairs // 2, first, (first + rng.integers(1, people, pairs)) % people)
    return np.stack([first, second], axis=1), first == second


def weighted_mean(values):
    """A rate whose error is known in closed form."""
    return lambda weights: values @ weights / weights.sum(axis=0)


def test_people_drawn_bring_their_pairs_as_in_a_loop_over_the_people_drawn():
    people, issame = crowd(80, 12)
    scores = np.random.default_rng(1).normal(size=80).round(1) + issame
    for seed in range(20):
        drawn = np.random.default_rng(seed).integers(0, 12, 12)
        again = [
            pair
            for pair, (first, second) in enumerate(people)
            for one in drawn
            for other in ([one] if first == second else drawn)
            if (one, other) == (first, second)
        ]
        counts = np.bincount(drawn, minlength=12)[:, None]
        weights = weights_of(people, counts)
        np.testing.assert_array_equal(weights[:, 0], np.bincount(again, minlength=80))
        expected = Roc.of(scores[again], issame[again]).tar_at_most(0.2).tar
        assert weighted_tar(scores, issame, 0.2)(weights)[0] == expected


def test_everyone_is_drawn_once_on_the_average_and_pairs_as_a_product_of_their_people():
    people, issame = crowd(60, 20)
    weights = draw_people(people * 7)(np.random.default_rng(0), 20_000).astype(float)
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.06)
    assert weights[issame].var(axis=1).mean() == pytest.approx(1, rel=0.05)
    assert weights[~issame].var(axis=1).mean() == pytest.approx(3, rel=0.05)
    assert draw_pairs(60)(np.random.default_rng(0), 20_000).var(axis=1).mean() == pytest.approx(1, rel=0.05)


def test_impostor_pairs_of_the_same_two_people_are_drawn_together_and_genuine_pairs_stay():
    people = np.array([[0, 0], [0, 1], [1, 0], [1, 2], [0, 0]])
    weights = draw_impostors(people)(np.random.default_rng(0), 5000)
    assert (weights[[0, 4]] == 1).all()
    np.testing.assert_array_equal(weights[1], weights[2])
    assert np.corrcoef(weights[1], weights[3])[0, 1] == pytest.approx(0, abs=0.05)
    assert weights[1].var() == pytest.approx(1, abs=0.1)


def test_somebody_repeats_only_where_two_pairs_share_a_person():
    assert not somebody_repeats(np.array([[0, 0], [1, 2], [3, 4]]))
    assert somebody_repeats(np.array([[0, 0], [0, 2], [3, 4]]))
    assert somebody_repeats(np.array([[5, 5], [5, 5]]))


@pytest.mark.parametrize(("pairs", "people"), [(200, 40), (200, 150), (300, 12)])
def test_the_error_of_people_is_that_of_all_pairs_that_share_one(pairs, people):
    on, _ = crowd(pairs, people)
    opinion = np.random.default_rng(2).normal(size=people)
    right = opinion[on].sum(axis=1) + np.random.default_rng(3).normal(size=pairs) > -1
    found = Resampled([weighted_mean(right)], pairs, on).error(np.ones(1))
    residual = right - right.mean()
    shared = sum(residual[p] * residual[q] for p in range(pairs) for q in range(pairs) if set(on[p]) & set(on[q]))
    assert shared > 1.1 * np.sum(residual**2), "people must matter for this to be a test"
    assert found == pytest.approx(np.sqrt(shared) / pairs, rel=0.12)


@pytest.mark.parametrize("repeat", [False, True])
def test_what_thresholds_chosen_anew_add_is_counted_half_over_pairs_and_people_alike(repeat):
    people = crowd(200, 40)[0] if repeat else None
    right = np.random.default_rng(0).random(200) < 0.8
    steady, jump = weighted_mean(right), np.random.default_rng(1).normal(size=200)

    def jumping(weights):  # a jump is anything that has no memory of the weights: here of variance 0.08**2 / 2
        return steady(weights) + 0.08 * np.cos(jump @ weights)

    one = np.ones(1)
    of_steady = Resampled([steady], 200, people).error(one) ** 2
    found = Resampled([jumping], 200, people, [steady]).error(one) ** 2
    assert found - of_steady == pytest.approx(0.08**2 / 4, rel=0.1)
    still = Resampled([lambda weights: np.zeros(weights.shape[1])], 200, people, [steady])
    assert still.error(one) ** 2 == pytest.approx(of_steady), "never less than with thresholds left"


def test_the_error_is_never_below_that_of_pairs_where_the_pairs_of_a_person_make_up_for_each_other():
    people = np.repeat(np.arange(50), 2)[:, None].repeat(2, axis=1)
    one_of_two = np.tile([True, False], 50)
    found, pairs = (Resampled([weighted_mean(one_of_two)], 100, on).error(np.ones(1)) for on in (people, None))
    assert found == pairs == pytest.approx(0.05, rel=0.06)


def test_people_who_never_repeat_give_the_error_of_pairs():
    right = np.random.default_rng(0).random(400) < 0.8
    alone = np.arange(800).reshape(400, 2)
    found, plain = (Resampled([weighted_mean(right)], 400, on).error(np.ones(1)) for on in (alone, None))
    assert found == plain == pytest.approx(right.std() / 20, rel=0.06)


def test_one_person_twice_among_hundreds_of_impostor_pairs_hardly_changes_the_error():
    right = np.random.default_rng(0).random(400) < 0.8
    people = np.arange(800).reshape(400, 2)
    people[1, 0] = 0
    found = Resampled([weighted_mean(right)], 400, people)
    assert found.over_people
    assert found.error(np.ones(1)) == pytest.approx(right.std() / 20, rel=0.12)


def test_models_meet_on_the_same_drawn_sets_and_always_on_the_same():
    right = np.random.default_rng(0).random((2, 100)) < 0.8
    rates = [weighted_mean(right[0]), weighted_mean(right[0]), weighted_mean(right[1])]
    first, second = (resample(rates, draw_pairs(100), sets=300) for _ in range(2))
    assert first.shape == (3, 300)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[0], first[1])
    assert len(np.unique(first[0])) > 10
