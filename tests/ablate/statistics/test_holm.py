"""Holm's correction against its definition by closed testing."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ablate.statistics.holm import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_a_hypothesis_is_rejected_only_with_every_family_of_hypotheses_that_holds_it(p):
    # A family of k falls when its smallest p is at most level / k (Bonferroni).
    families = [set(chosen) for size in range(1, len(p) + 1) for chosen in combinations(range(len(p)), size)]
    closed = [max(min(1, len(of) * min(p[i] for i in of)) for of in families if test in of) for test in range(len(p))]
    np.testing.assert_allclose(holm(np.array(p)), closed, atol=1e-15)


def test_tables_are_corrected_one_by_one():
    tables = np.array([[0.01, 0.04, 0.03], [0.5, 0.2, 0.001]])
    np.testing.assert_allclose(holm(tables), [[0.03, 0.06, 0.06], [0.5, 0.4, 0.003]])
    assert holm(np.empty(0)).shape == (0,)
