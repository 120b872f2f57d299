"""Exact search against brute force."""

import numpy as np
import pytest

from common.embeddings import search
from common.errors import DataError


def unit(rows, dim=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("gallery", "probes", "k"), [(500, 70, 20), (5000, 3, 1), (7, 9, 50), (1, 1, 1), (300, 100, 300)]
)
def test_exact_search_is_brute_force(monkeypatch, gallery, probes, k):
    monkeypatch.setattr("common.embeddings.nearest._PROBE_BLOCK", 32)
    rows, asked = unit(gallery), unit(probes, seed=1)
    scores, indices = search(rows, asked, k)
    matrix = asked.astype(np.float64) @ rows.T.astype(np.float64)
    order = np.argsort(-matrix, axis=1)[:, :k]
    assert np.array_equal(indices, order)
    np.testing.assert_allclose(scores, np.take_along_axis(matrix, order, 1), atol=1e-5)


def test_nothing_is_normalised():
    rows = np.array([[3.0, 0.0], [0.0, 1.0]], np.float32)
    assert search(rows, rows, 1)[0].ravel().tolist() == [9.0, 1.0]


@pytest.mark.parametrize(
    ("gallery", "probes", "k", "message"),
    [
        (unit(5), unit(5, dim=8), 1, "16 dimensions, probes 8"),
        (unit(5), unit(5), 0, "cannot find 0"),
        (unit(0), unit(5), 1, "gallery of 0"),
        (np.full((3, 4), np.nan, np.float32), unit(2, dim=4), 1, "gallery embedding 0 holds NaN"),
        (unit(3), np.full((1, 16), np.inf, np.float32), 1, "probe embedding 0 holds NaN"),
        (np.zeros((3, 4), int), unit(2, dim=4), 1, "array of floats"),
        (unit(3)[0], unit(2), 1, "array of floats"),
    ],
)
def test_input_that_cannot_be_searched_is_refused(gallery, probes, k, message):
    with pytest.raises(DataError, match=message):
        search(gallery, probes, k)
