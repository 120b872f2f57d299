"""Scores of pairs on disk: whole, or a line; and who is on the pictures."""

from dataclasses import replace

import numpy as np
import pytest

from common.errors import DataError
from evaluate.pair_people import people_of_pairs
from evaluate.protocols import ten_fold
from evaluate.report.pair_file import pair_path, read_pairs, save_pairs


def result(people=None):
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((2, 30, 8))
    return a, b, replace(ten_fold(a, b, np.arange(30) % 2 == 0), people=people)


def test_scores_are_the_cosines_of_the_pairs(tmp_path):
    people = np.arange(60).reshape(30, 2)
    a, b, verified = result(people)
    path = pair_path(tmp_path, "l f w", "m (best)")
    save_pairs(path, verified)
    back = read_pairs(path)
    cosines = [x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(back.scores, cosines, atol=1e-12)
    assert back.issame.tolist() == [True, False] * 15
    assert (back.people_a.tolist(), back.people_b.tolist()) == (people[:, 0].tolist(), people[:, 1].tolist())
    save_pairs(path, result()[2])
    assert read_pairs(path).people_a is None


def test_anything_else_is_refused_in_a_line_with_its_path(tmp_path):
    path = tmp_path / "pairs-lfw-m.npz"
    good = {"scores": np.zeros(4), "issame": np.ones(4, bool)}
    bad = [
        {"scores": np.zeros(4), "issame": np.ones(3, bool)},
        {"scores": np.zeros(4, np.float32), "issame": np.ones(4, bool)},
        {"scores": np.full(4, np.nan), "issame": np.ones(4, bool)},
        {**good, "people": np.zeros((4, 3), np.int64)},
        {"scores": np.array([{}]), "issame": np.ones(1, bool)},
        {"issame": np.ones(4, bool)},
    ]
    for arrays in bad:
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=r"pairs-lfw-m\.npz: no scores of pairs \(.*\): evaluate again"):
            read_pairs(path)
    np.savez_compressed(path, **good)
    with pytest.raises(DataError, match="compressed"):
        read_pairs(path)
    for content in (b"", b"PK\3\4", b"x" * 1000):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no scores of pairs"):
            read_pairs(path)
    with pytest.raises(DataError, match="not there"):
        read_pairs(tmp_path / "other.npz")


def test_people_are_joined_by_genuine_pairs_and_by_equal_pictures():
    """Anna has three pictures in two pairs, Bert two pictures of the same bytes; nobody knows that C and D are one."""
    pictures = [b"anna1", b"anna2", b"anna2", b"anna3", b"bert", b"c", b"bert", b"d"]
    people = people_of_pairs(pictures, np.array([True, True, False, False]))
    assert people.tolist() == [[0, 0], [0, 0], [1, 2], [1, 3]]
