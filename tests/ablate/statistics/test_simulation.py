"""Tables whose truth is known: how often tests reject, intervals hold it, and promised differences are found."""

import numpy as np
import pytest

from ablate.statistics.power import smallest_over_pairs, smallest_over_seeds
from benchmarks.ablation_statistics import FAR, PAIRS, PEOPLE, over_pairs, over_seeds

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
def test_forgetting_who_is_on_the_pairs_finds_too_much():
    rng = np.random.default_rng(0)
    known, forgotten = (over_pairs(rng, 400, None, repeat=True, known=known)[0] for known in (True, False))
    assert known.rejected == near(0.05, 400)
    assert known.covered == near(0.95, 400)
    assert forgotten.rejected > at_most(0.05, 400)


@pytest.mark.slow
def test_tar_over_pairs_and_over_people_rejects_one_in_twenty():
    for repeat in (False, True):
        found, _ = over_pairs(np.random.default_rng(0), 100, FAR, repeat)
        assert found.rejected == near(0.05, 100)


@pytest.mark.slow
@pytest.mark.parametrize("far", [None, FAR])
@pytest.mark.parametrize("repeat", [False, True])
def test_over_pairs_and_people_one_in_twenty_rejects_and_promised_differences_are_found(far, repeat):
    rng = np.random.default_rng(0)
    found, differences = over_pairs(rng, TABLES, far, repeat)
    assert found.rejected == near(0.05)
    assert found.covered == near(0.95)
    smallest = smallest_over_pairs(float(differences.std()), (PEOPLE if repeat else PAIRS) - 1)
    powered, _ = over_pairs(rng, TABLES // 4, far, repeat, truth=smallest)
    assert powered.rejected == near(0.8, TABLES // 4)
    assert powered.covered == near(0.95, TABLES // 4)
