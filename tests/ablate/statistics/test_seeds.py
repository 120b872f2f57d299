"""The spread over seeds against published examples."""

import numpy as np
import pytest

from ablate.statistics.seeds import difference_over_seeds, over_seeds

# Student 1908: hours of sleep gained by ten people from two drugs.
FIRST = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SECOND = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)


def test_students_sleep_data_give_the_numbers_that_r_prints():
    found = difference_over_seeds(FIRST, SECOND)
    # t.test(extra ~ group, data = sleep)
    assert found.p == pytest.approx(0.07939414, abs=1e-8)
    assert (found.low, found.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)
    assert found.difference == pytest.approx(0.75 - 2.33)
    assert found.over == "seeds"
    assert "10 and 10 seeds" in found.test


def test_a_mean_has_students_interval_and_keeps_every_value():
    found = over_seeds(SECOND)
    # t.test(extra, data = sleep, subset = group == 2)
    assert (found.low, found.high) == pytest.approx((0.8976775, 3.7623225), abs=1e-7)
    assert found.values == SECOND
    assert found.n == 10
    assert found.error == pytest.approx(np.std(SECOND, ddof=1) / 10**0.5)


def test_one_run_has_a_value_and_no_spread():
    found = over_seeds([0.83])
    assert (found.mean, found.error, found.low, found.high) == (0.83, None, None, None)


@pytest.mark.parametrize(
    ("ours", "baseline"), [([0.8], [0.7, 0.8, 0.9]), ([0.7, 0.8], [0.9]), ([0.9, 0.9], [0.8, 0.8, 0.8])]
)
def test_seeds_that_show_no_spread_decide_nothing(ours, baseline):
    assert difference_over_seeds(ours, baseline) is None


def test_one_recipe_without_spread_is_still_compared():
    assert difference_over_seeds([0.9, 0.9, 0.9], [0.5, 0.51, 0.52]).p < 0.001
