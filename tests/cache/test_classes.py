"""Sums of classes and cosines with the others equal what loops over rows say, whatever the order of the labels."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from cache.classes import UNIT_BITS, cosines_with, sums_of_rows
from cache.people import chosen_people
from common.errors import ConfigError


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_sums_of_rows_are_exact_whatever_the_order(dtype):
    random = np.random.default_rng(0)
    labels, rows = random.integers(0, 5, 10_000) * 3, random.standard_normal((10_000, 3)) / 3
    rows = np.ldexp(np.rint(np.ldexp(rows, 24)), -24).astype(dtype).astype(np.float32)  # as float16 and int8 store them
    classes, sums = sums_of_rows(labels, rows)
    assert classes.tolist() == [0, 3, 6, 9, 12]
    for label, found in zip(classes, sums, strict=True):
        exact = [sum(map(Fraction, column)) for column in rows[labels == label].T.tolist()]
        assert [Fraction(int(n), 2**UNIT_BITS) for n in found] == exact
    again = random.permutation(10_000)
    assert np.array_equal(sums_of_rows(labels[again], rows[again])[1], sums)


def test_cosines_do_not_depend_on_the_length_of_the_others_and_are_0_with_nothing():
    rows, others = np.array([[1.0, 0], [0.6, 0.8], [1, 0]]), np.array([[5.0, 5], [3, 4], [0, 0]])
    np.testing.assert_allclose(cosines_with(rows, others), [0.5**0.5, 1, 0])
    long = others.astype(np.int64) << 40  # squares beyond int64
    np.testing.assert_allclose(cosines_with(rows, long), [0.5**0.5, 1, 0])


def test_people_are_chosen_in_exactly_one_way():
    source, counts = SimpleNamespace(people=["a", "b", "c"], num_classes=3), np.array([1, 3, 2])
    assert chosen_people(source, counts, first=2).tolist() == [0, 1]
    assert chosen_people(source, counts, first=9).tolist() == [0, 1, 2]
    assert len(chosen_people(source, counts, sample=2, seed=1)) == 2
    assert chosen_people(source, counts, at_least=2).tolist() == [1, 2]
    for choices in ({}, {"first": 1, "sample": 1}, {"first": 1, "at_least": 1}):
        with pytest.raises(ConfigError, match="one of --people, --first, --sample, --at-least and --rest-of"):
            chosen_people(source, counts, **choices)
