"""Tables whose truth is known: how often tests reject, intervals hold it, and promised differences are found."""

import numpy as np
import pytest

from ablate.statistics.power import smallest_over_pairs, smallest_over_seeds
from ablate.statistics.rates import weighted_accuracy
from ablate.statistics.resampling import Resampled
from benchmarks.ablation_statistics import (
    FAR,
    MIDDLE,
    PAIRS,
    PEOPLE,
    mean_score,
    over_pairs,
    over_seeds,
    people_of_set,
    student_scores,
    true_rate,
)

TABLES = 2000


def near(share, tables=TABLES):
    """Within three binomial errors."""
    return pytest.approx(share, abs=3 * (share * (1 - share) / tables) ** 0.5)


def at_most(share, tables=TABLES):
    return share + 3 * (share * (1 - share) / tables) ** 0.5


@pytest.mark.parametrize("spread", [1.0, 3.0])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 20])
def test_of_equal_recipes_no_more_than_one_in_twenty_is_called_different(seeds, spread):
    found = over_seeds(np.random.default_rng(0), TABLES, seeds, spread=spread)
    assert found.rejected <= at_most(0.05)
    assert found.any_after_holm <= at_most(0.05)
    assert found.covered >= 1 - at_most(0.05)
    # Welch's test is careful with few seeds, not blind.
    assert found.rejected >= {2: 0.015, 3: 0.025}.get(seeds, 0.035)
    if seeds >= 10:
        assert found.rejected == near(0.05)


def test_without_holm_a_table_of_five_cases_would_have_a_false_finding_far_more_often():
    found = over_seeds(np.random.default_rng(0), TABLES, 10)
    alone = over_seeds(np.random.default_rng(0), TABLES, 10, cases=1)
    assert alone.any_after_holm == alone.rejected == near(0.05)
    assert found.rejected * 5 > 2 * found.any_after_holm > 0


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_differences_of_the_promised_size_are_found_four_times_of_five(seeds):
    smallest = smallest_over_seeds(1, seeds, 1, seeds)
    found = over_seeds(np.random.default_rng(0), TABLES, seeds, smallest, cases=1)
    assert found.rejected == near(0.8)
    assert found.covered >= 1 - at_most(0.05)


@pytest.mark.slow
def test_forgetting_who_is_on_the_pairs_finds_differences_where_there_are_none():
    known, forgotten = (
        over_pairs(np.random.default_rng(0), 400, FAR, repeat=True, known=known)[0] for known in (True, False)
    )
    assert known.rejected == near(0.05, 400)
    assert forgotten.rejected > 1.5 * known.rejected
    assert forgotten.covered < known.covered


@pytest.mark.slow
@pytest.mark.parametrize("repeat", [False, True])
def test_of_equal_students_one_tar_in_twenty_is_called_different_and_promised_differences_are_found(repeat):
    rng = np.random.default_rng(0)
    found, differences = over_pairs(rng, TABLES, FAR, repeat)
    assert found.rejected == near(0.05)
    assert found.covered == near(0.95)
    smallest = smallest_over_pairs(float(differences.std()), (PEOPLE if repeat else PAIRS) - 1)
    powered, _ = over_pairs(rng, TABLES // 4, FAR, repeat, truth=smallest)
    assert powered.rejected == near(0.8, TABLES // 4)


@pytest.mark.slow
@pytest.mark.parametrize("repeat", [False, True])
def test_of_equal_students_one_accuracy_in_twenty_is_called_different(repeat):
    found, _ = over_pairs(np.random.default_rng(0), 500, None, repeat, sets=400)
    assert found.rejected == near(0.05, 500)
    assert found.covered == near(0.95, 500)


@pytest.mark.slow
@pytest.mark.parametrize("repeat", [False, True])
def test_the_error_of_an_accuracy_is_that_of_other_sets_and_of_one_reading_alone_it_is_not(repeat):
    """Thresholds chosen anew count their jumps twice, thresholds left not at all."""
    rng, none = np.random.default_rng(0), np.array([-1.0, 1.0])
    issame, people = people_of_set(rng, repeat)
    mean = mean_score(true_rate(MIDDLE, None), None)
    once, variances, differences = np.ones((PAIRS, 1), np.int16), [], []
    for number in range(3000):
        scores = student_scores(rng, issame, people, np.array([mean, mean]))
        anew, left = ([weighted_accuracy(row, issame, chosen) for row in scores] for chosen in (True, False))
        differences.append(none @ np.concatenate([rate(once) for rate in anew]))
        if number < 100:
            readings = [(anew, left), (anew, None), (left, None)]
            drawn = [Resampled(rates, PAIRS, people, steady, sets=300) for rates, steady in readings]
            variances.append([reading.error(none) ** 2 for reading in drawn])
    ours, of_anew, of_left = np.mean(variances, axis=0) / np.var(differences)
    assert ours == pytest.approx(1, abs=0.08)
    assert of_anew > (1.02 if repeat else 1.15)
    assert of_left < 0.85
