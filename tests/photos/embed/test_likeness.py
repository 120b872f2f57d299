"""Extreme pairs against all pairs, rank correlation against SciPy's."""

import numpy as np
import pytest

from photos.embed import likeness
from photos.embed.likeness import extreme_pairs, rank_correlation


@pytest.mark.parametrize("rows_at_once", [256, 7])
def test_extreme_pairs_are_those_of_all_pairs_sorted(monkeypatch, rows_at_once):
    monkeypatch.setattr(likeness, "_ROWS", rows_at_once)
    rng = np.random.default_rng(0)
    unit = rng.standard_normal((40, 6)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    people = [None if number % 7 == 0 else f"p{number % 5}" for number in range(40)]
    pairs = [(first, second) for first in range(40) for second in range(first + 1, 40)]
    known = [pair for pair in pairs if people[pair[0]] is not None and people[pair[1]] is not None]
    same = [pair for pair in known if people[pair[0]] == people[pair[1]]]
    groups = {
        "most": (pairs, -1), "least": (pairs, 1),
        "most, of different people": (sorted(set(known) - set(same)), -1), "least, of one person": (same, 1),
    }  # fmt: skip
    found = extreme_pairs(unit, people, 9)
    assert set(found) == set(groups)
    for kind, (candidates, sign) in groups.items():
        expected = sorted(candidates, key=lambda pair: sign * float(unit[pair[0]] @ unit[pair[1]]))[:9]
        assert [tuple(pair) for pair in found[kind].pairs.tolist()] == expected, kind
        np.testing.assert_allclose(found[kind].cosines, [unit[a] @ unit[b] for a, b in expected], atol=1e-6)


def test_without_people_there_are_the_two_plain_kinds_and_no_more_pairs_than_there_are():
    unit = np.eye(3, dtype=np.float32)
    found = extreme_pairs(unit, [None] * 3, 9)
    assert set(found) == {"most", "least"}
    assert found["most"].pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_rank_correlation_is_spearmans_ties_included():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.integers(0, 6, 30).astype(float), rng.standard_normal(30)
        assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first, second).statistic)
    assert rank_correlation(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1)


def test_no_rank_correlation_with_a_constant_or_with_what_no_detector_said():
    assert rank_correlation(np.ones(5), np.arange(5.0)) is None
    assert rank_correlation(np.arange(5.0), np.full(5, np.nan)) is None
