"""Promised power against simulation, and against scipy's noncentral t where there is one."""

import numpy as np
import pytest
from scipy.stats import nct, t

from ablate.statistics.power import smallest_over_pairs, smallest_over_seeds, welch_power
from ablate.statistics.seeds import welch


@pytest.mark.parametrize(
    ("spread_a", "n_a", "spread_b", "n_b"), [(1, 3, 1, 3), (1, 2, 3, 2), (0.5, 5, 2, 3), (1, 8, 1, 8)]
)
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_four_of_five_differences_of_the_promised_size_are_found(spread_a, n_a, spread_b, n_b, level):
    smallest = smallest_over_seeds(spread_a, n_a, spread_b, n_b, level)
    rng = np.random.default_rng(0)
    tables = 20_000
    ours, theirs = smallest + spread_a * rng.normal(size=(tables, n_a)), spread_b * rng.normal(size=(tables, n_b))
    # 4 binomial errors, and what the grid is off by.
    assert np.mean(welch(ours, theirs)[0] < level) == pytest.approx(0.8, abs=4 * (0.16 / tables) ** 0.5 + 0.002)
    assert welch_power(smallest, spread_a, n_a, spread_b, n_b, level) == pytest.approx(0.8, abs=1e-4)


def test_with_many_seeds_the_power_is_that_of_students_test():
    shift = 0.4 / (2 / 60) ** 0.5
    exact = nct.sf(t.isf(0.025, 118), 118, shift) + nct.cdf(-t.isf(0.025, 118), 118, shift)
    assert welch_power(0.4, 1, 60, 1, 60) == pytest.approx(exact, abs=0.002)


def test_without_a_difference_the_power_is_the_level():
    assert welch_power(0, 1, 40, 1, 40) == pytest.approx(0.05, abs=0.001)


def test_a_mean_of_many_pairs_is_found_with_the_promised_power():
    smallest = smallest_over_pairs(0.01, 199)
    found = nct.sf(t.isf(0.025, 199), 199, smallest / 0.01)
    assert found == pytest.approx(0.8, abs=0.003)
    assert smallest_over_pairs(0.01, 199, 0.01) > smallest
