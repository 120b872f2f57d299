"""Saved galleries answer as before; what approximate search loses is told truly; damage never reaches FAISS."""

import json
import random

import faiss
import numpy as np
import pytest

from common.errors import DataError, UserError
from evaluate.gallery import GalleryIndex
from evaluate.protocols.nearest import search


def unit(rows, dim=16, seed=0):
    rows = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


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


def test_an_unknown_kind_wrong_names_and_other_dimensions_are_refused():
    with pytest.raises(UserError, match="choose one of exact, ivf, hnsw"):
        GalleryIndex.build(unit(50), ["x"] * 50, "annoy")
    with pytest.raises(DataError, match="2 names for 50"):
        GalleryIndex.build(unit(50), ["x"] * 2)
    with pytest.raises(DataError, match="has 16 dimensions, the probes 8"):
        GalleryIndex.build(unit(5), list("abcde")).search(unit(2, dim=8), 1)


FILES = ("gallery.faiss", "names.json", "gallery.json")


@pytest.fixture
def saved(tmp_path):
    GalleryIndex.build(unit(6, dim=4), list("abcdef")).save(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_or_changes_nothing(saved, name):
    whole, rng, refused = (saved / name).read_bytes(), random.Random(name), 0
    places = range(0, len(whole), 1 + len(whole) // 200)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        (saved / name).write_bytes(damaged)
        try:
            opened = GalleryIndex.open(saved)
            assert (opened.names, opened.kind, opened.recall) == (list("abcdef"), "exact", 1.0)
        except DataError as error:
            refused += str(saved) in str(error)
    assert refused > 40 if name == "gallery.json" else refused == len(places)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_longer_or_missing_file_is_refused_by_name(saved, monkeypatch, name):
    monkeypatch.setattr(faiss, "read_index", lambda path: pytest.fail("FAISS was given a damaged file"))
    whole = (saved / name).read_bytes()
    for content in (b"", whole[:1], whole[: len(whole) // 2], whole[:-2], whole + b"more"):
        (saved / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            GalleryIndex.open(saved)
    (saved / name).unlink()
    with pytest.raises(DataError, match=rf"{name}: .*No such file"):
        GalleryIndex.open(saved)


def test_files_of_another_gallery_are_refused(saved, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    GalleryIndex.build(unit(6, dim=5), list("ghijkl")).save(other)
    for name in FILES:
        mine = (saved / name).read_bytes()
        (saved / name).write_bytes((other / name).read_bytes())
        with pytest.raises(DataError, match=r"of another gallery|bytes, gallery\.json says"):
            GalleryIndex.open(saved)
        (saved / name).write_bytes(mine)


def test_a_description_that_is_whole_but_wrong_is_refused(saved):
    from evaluate.gallery import _digest

    about = json.loads((saved / "gallery.json").read_text())
    del about["sha256"]
    for change in ({"dim": 5}, {"rows": 7}):
        wrong = about | change
        (saved / "gallery.json").write_text(json.dumps(wrong | {"sha256": _digest(wrong)}))
        with pytest.raises(DataError, match=r"gallery\.json says"):
            GalleryIndex.open(saved)
