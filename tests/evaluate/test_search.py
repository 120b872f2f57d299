"""Search against brute force; saved galleries; what approximate search loses."""

import numpy as np
import pytest

from common.errors import DataError, UserError
from evaluate.search import GalleryIndex, search


def unit(rows, dim=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("gallery", "probes", "k"), [(500, 70, 20), (5000, 3, 1), (7, 9, 50), (1, 1, 1), (300, 100, 300)]
)
def test_exact_search_is_brute_force(monkeypatch, gallery, probes, k):
    monkeypatch.setattr("evaluate.search._PROBE_BLOCK", 32)
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


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_a_saved_gallery_answers_as_before_and_its_recall_is_true(tmp_path, kind):
    rows, asked = unit(3000), unit(50, seed=1)
    gallery = GalleryIndex.build(rows, [f"person {number}" for number in range(3000)], kind)
    gallery.save(tmp_path / "gallery")
    opened = GalleryIndex.open(tmp_path / "gallery")
    assert (opened.kind, opened.recall, opened.names[7]) == (kind, gallery.recall, "person 7")
    for ours, theirs in zip(opened.search(asked, 5), gallery.search(asked, 5), strict=True):
        assert np.array_equal(ours, theirs)
    found, exact = gallery.search(asked, 10)[1], search(rows, asked, 10)[1]
    measured = np.mean([len(np.intersect1d(one, other)) / 10 for one, other in zip(found, exact, strict=True)])
    assert measured == pytest.approx(gallery.recall, abs=0.12)
    assert gallery.recall == 1 if kind == "exact" else 0.5 < gallery.recall <= 1


def test_an_unknown_kind_and_wrong_names_are_refused():
    with pytest.raises(UserError, match="choose one of exact, ivf, hnsw"):
        GalleryIndex.build(unit(50), ["x"] * 50, "annoy")
    with pytest.raises(DataError, match="2 names for 50"):
        GalleryIndex.build(unit(50), ["x"] * 2)


def test_a_damaged_gallery_is_refused(tmp_path):
    gallery = GalleryIndex.build(unit(50), [str(number) for number in range(50)])
    gallery.save(tmp_path)
    for name, content in [("gallery.json", "{"), ("gallery.json", '{"names": ["a"], "kind": "exact", "recall": 1}')]:
        gallery.save(tmp_path)
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=r"gallery"):
            GalleryIndex.open(tmp_path)
    gallery.save(tmp_path)
    (tmp_path / "gallery.faiss").write_bytes(b"no index")
    with pytest.raises(DataError, match="no saved gallery, or a damaged one"):
        GalleryIndex.open(tmp_path)
