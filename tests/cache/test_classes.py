"""Sums of classes and cosines with the others equal what loops over rows say, whatever the order of the labels."""

import numpy as np
import pytest

from cache.classes import add_to_classes, cosines_with
from cache.people import chosen_people
from common.errors import ConfigError


def test_rows_in_any_order_are_added_to_their_classes():
    random = np.random.default_rng(0)
    labels, rows = random.integers(0, 5, 40), random.standard_normal((40, 3)).astype(np.float32)
    sums = np.ones((7, 3))
    add_to_classes(sums, labels, rows)
    add_to_classes(sums, labels[:0], rows[:0])
    for label in range(7):
        expected = 1 + sum((row.astype(float) for row in rows[labels == label]), np.zeros(3))
        np.testing.assert_allclose(sums[label], expected, rtol=1e-6)


def test_cosines_do_not_depend_on_the_length_of_the_others_and_are_0_with_nothing():
    rows, others = np.array([[1.0, 0], [0.6, 0.8], [1, 0]]), np.array([[5.0, 5], [3, 4], [0, 0]])
    np.testing.assert_allclose(cosines_with(rows, others), [0.5**0.5, 1, 0])


def test_people_are_chosen_in_exactly_one_way():
    names = ["a", "b", "c"]
    assert chosen_people(names, first=2).tolist() == [0, 1]
    assert chosen_people(names, first=9).tolist() == [0, 1, 2]
    assert len(chosen_people(names, sample=2, seed=1)) == 2
    for choices in ({}, {"first": 1, "sample": 1}):
        with pytest.raises(ConfigError, match="one of --people, --first and --sample"):
            chosen_people(names, **choices)
