"""Several teachers behind one interface equal brute force over their caches."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.reader import TeacherCache
from cache.several import SeveralCaches, open_caches
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
    both = SeveralCaches(two, "mean")
    samples, views = np.array([3, 34, 0, 3]), np.array([1, 0, 0, 0])
    expected = [
        unit(sum(cache.gather([s], v)[0].astype(np.float64) for cache in two))
        for s, v in zip(samples, views, strict=True)
    ]
    rows = both.of_epoch(5).gather(samples, views)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected, atol=1e-3)  # lengths are those of rows in float16
    np.testing.assert_allclose(unit(rows), expected, atol=1e-6)
    np.testing.assert_allclose(both.centers, unit(two[0].centers + two[1].centers), atol=1e-6)
    for name in ("confidence", "norm"):
        each = [getattr(cache, name)(samples, views) for cache in two]
        np.testing.assert_allclose(getattr(both, name)(samples, views), np.mean(each, 0), rtol=1e-6)


def test_the_mean_of_one_cache_is_that_cache_bit_for_bit(two):
    twice, samples = SeveralCaches([two[1], two[1]], "mean"), np.arange(35)
    for name in ("gather", "confidence", "norm", "pixels"):
        assert np.array_equal(getattr(twice, name)(samples, 1), getattr(two[1], name)(samples, 1))
    assert np.array_equal(twice.centers, two[1].centers)


def test_one_teacher_an_epoch_in_turn(two):
    turns = SeveralCaches([*two, two[0]], "epoch")
    samples = np.arange(6)
    for epoch, teacher in enumerate((0, 1, 0, 0, 1, 0)):
        assert np.array_equal(turns.of_epoch(epoch).gather(samples, 1), two[teacher].gather(samples, 1))


def test_what_belongs_to_the_faces_is_the_same(two):
    both = SeveralCaches(two, "mean")
    assert (len(both), both.views, both.dim, both.num_classes) == (35, 2, 16, 7)
    assert np.array_equal(both.labels, two[1].labels)
    assert np.array_equal(both.counts, two[1].counts)
    assert np.array_equal(both.pixels(np.arange(35), 1), two[1].pixels(np.arange(35), 1))
    both.require(two[0].manifest["faces"], two[0].manifest["views"], two[0].manifest["decoder"])


def test_agreement_tells_teachers_of_one_space_from_strangers(two):
    assert SeveralCaches([two[0], two[0]], "mean").agreement() == pytest.approx([1], abs=1e-5)
    brute = np.mean([a @ b for a, b in zip(two[0].centers, two[1].centers, strict=True)])
    assert SeveralCaches(two, "mean").agreement() == pytest.approx([brute], abs=1e-6)


def test_workers_get_them_pickled(two):
    again = pickle.loads(pickle.dumps(SeveralCaches(two, "mean")))  # noqa: S301
    assert np.array_equal(again.gather([4], 1), SeveralCaches(two, "mean").gather([4], 1))


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
        SeveralCaches([first, build_other()], "mean")


def test_another_decoder_is_refused(two):
    two[1].manifest["decoder"] = "other 9"
    with pytest.raises(CacheError, match=r"decoder is 'other 9' there and '.*' in caches/a"):
        SeveralCaches(two, "mean")


def test_an_experiment_opens_what_it_names(two):
    alone = open_caches(experiment(cache={"path": "caches/a"}))
    assert isinstance(alone, TeacherCache)
    both = open_caches(experiment(cache={"path": "caches/a", "also": ["caches/b"], "combine": "epoch"}))
    assert isinstance(both, SeveralCaches)
    assert [cache.path.name for cache in both.caches] == ["a", "b"]
    both.require_teacher(ModelConfig(weights="tiny.onnx"), Path("data"))


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"cache": {"combine": "epoch"}}, "combine has no effect without cache.also"),
        ({"cache": {"also": ["b"]}, "head": {"centers": "learned"}}, "cache.also has no effect with a head that reads"),
    ],
)
def test_options_without_effect_are_refused(sections, match):
    with pytest.raises(ValueError, match=match):
        experiment(**sections)
