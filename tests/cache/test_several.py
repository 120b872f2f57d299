"""Several teachers behind one interface equal brute force over their caches."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.format import mapping
from cache.format.mapping import too_many_shards
from cache.reader import TeacherCache
from cache.several import TeacherEnsemble, open_caches
from common.config import ModelConfig
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, write_faces


def cache_of(name: str, seed: int, **sections) -> TeacherCache:
    config = experiment(**{**sections, "cache": {"path": f"caches/{name}"}})
    return TeacherCache(build(config, open_source("data/faces"), TinyTeacher(seed), threads=1, quiet=True))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.fixture
def two(world) -> list[TeacherCache]:
    return [cache_of("a", 0), cache_of("b", 1)]


def test_the_mean_is_the_unit_mean_of_unit_embeddings(two):
    both = TeacherEnsemble(two)
    samples, views = np.array([3, 34, 0, 3]), np.array([1, 0, 0, 0])
    expected = [
        unit(sum(cache.gather([s], v)[0].astype(np.float64) for cache in two))
        for s, v in zip(samples, views, strict=True)
    ]
    rows = both.gather(samples, views)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-3)  # lengths are those of rows in float16
    np.testing.assert_allclose(unit(rows), expected, atol=1e-6)
    np.testing.assert_allclose(both.centers, unit(two[0].centers + two[1].centers), atol=1e-6)
    each = [cache.confidence(samples, views) for cache in two]
    np.testing.assert_allclose(both.confidence(samples, views), np.mean(each, 0), rtol=1e-6)


def test_the_mean_of_one_cache_is_that_cache_bit_for_bit(two):
    twice, samples = TeacherEnsemble([two[1], two[1]]), np.arange(35)
    for name in ("gather", "confidence", "pixels"):
        assert np.array_equal(getattr(twice, name)(samples, 1), getattr(two[1], name)(samples, 1))
    assert np.array_equal(twice.centers, two[1].centers)


def test_what_belongs_to_the_faces_is_the_same(two):
    both = TeacherEnsemble(two)
    assert both.dim == 16
    assert np.array_equal(both.skipped, two[1].skipped)
    assert np.array_equal(both.pixels(np.arange(35), 1), two[1].pixels(np.arange(35), 1))
    both.require(two[0].manifest["faces"], two[0].manifest["views"], two[0].manifest["decoder"])


def test_agreement_tells_teachers_of_one_space_from_strangers(two):
    assert TeacherEnsemble([two[0], two[0]]).agreement() == pytest.approx([1], abs=1e-5)
    brute = np.mean([a @ b for a, b in zip(two[0].centers, two[1].centers, strict=True)])
    assert TeacherEnsemble(two).agreement() == pytest.approx([brute], abs=1e-6)


def test_workers_get_them_pickled(two):
    again = pickle.loads(pickle.dumps(TeacherEnsemble(two)))  # noqa: S301
    assert np.array_equal(again.gather([4], 1), TeacherEnsemble(two).gather([4], 1))


class Wider(TinyTeacher):
    dim = 17

    def embed(self, faces):
        return np.pad(super().embed(faces), ((0, 0), (0, 1)))


@pytest.mark.parametrize(
    ("build_other", "match"),
    [
        (lambda: cache_of("b", 1, views={"policy": "none"}), "views.policy is 'none' there and 'flip' in caches/a"),
        (lambda: (write_faces(Path("data/faces"), 7, 6), cache_of("b", 1))[1], "faces.samples is 42 there and 35 in"),
        (
            lambda: TeacherCache(
                build(experiment(cache={"path": "caches/b"}), open_source("data/faces"), Wider(), threads=1, quiet=True)
            ),
            "width is 17 there and 16 in caches/a",
        ),
    ],
    ids=["views", "faces", "width"],
)
def test_caches_that_cannot_teach_together_are_refused(world, build_other, match):
    first = cache_of("a", 0)
    with pytest.raises(CacheError, match=match):
        TeacherEnsemble([first, build_other()])


def test_another_decoder_is_refused(two):
    two[1].manifest["decoder"] = "other 9"
    with pytest.raises(CacheError, match=r"decoder is 'other 9' there and '.*' in caches/a"):
        TeacherEnsemble(two)


def test_an_experiment_opens_what_it_names(two):
    alone = open_caches(experiment(cache={"path": "caches/a"}))
    assert isinstance(alone, TeacherCache)
    both = open_caches(experiment(cache={"path": "caches/a", "also": ["caches/b"]}))
    assert isinstance(both, TeacherEnsemble)
    assert [cache.path.name for cache in both.caches] == ["a", "b"]
    both.require_teacher(ModelConfig(weights="tiny.onnx"), Path("data"))


def test_further_caches_that_no_head_reads_are_refused():
    with pytest.raises(ValueError, match=r"cache\.also has no effect with head and terms that read no teacher"):
        experiment(cache={"also": ["b"]}, head={"centers": "learned"})


def test_caches_that_fit_alone_but_not_together_are_refused_before_the_first_step(two, monkeypatch, tmp_path):
    """Eight rows a shard: 5 shards of 35 samples; three arrays of two views and the pictures are 35 files a cache."""
    monkeypatch.setattr(mapping, "_OTHER_MAPS", 0)
    monkeypatch.setattr(mapping, "_MAX_MAP_COUNT", tmp_path / "max_map_count")
    for limit in (70, 69):
        (tmp_path / "max_map_count").write_text(f"{limit}")
        assert too_many_shards(two[0].layout) is None
        if limit == 70:
            TeacherEnsemble(two)
            continue
        with pytest.raises(CacheError, match=r"caches/a: .*70 files, more than .*\(69, .*cache\.shard_rows = 16"):
            TeacherEnsemble(two)
