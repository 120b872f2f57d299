"""Each storage type keeps the direction of a row within its bound, and int8 its length exactly."""

import numpy as np
import pytest
import zarr

from cache.build import build
from cache.format.arrays import layout_of
from cache.format.row_types import from_stored, to_stored
from cache.reader import TeacherCache
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment


def rows(count: int = 200, dim: int = 512) -> np.ndarray:
    raw = np.random.default_rng(0).standard_normal((count, dim)).astype(np.float32)
    raw[0] = 0
    raw[0, 3] = -1  # a row with one element
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def back(stored: dict[str, np.ndarray]) -> np.ndarray:
    return from_stored(stored["embedding"], stored.get("scale"))


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-12), ("float16", 1e-6), ("int8", 1e-4)])
def test_the_cosine_error_is_below_the_bound_of_the_type(dtype, error):
    unit = rows().astype(np.float64)
    again = back(to_stored(rows(), dtype)).astype(np.float64)
    cosine = (unit * again).sum(1) / np.linalg.norm(unit, axis=1) / np.linalg.norm(again, axis=1)
    assert (1 - cosine).mean() < error


def test_an_int8_row_has_unit_length_and_uses_all_of_its_range():
    stored = to_stored(rows(), "int8")
    np.testing.assert_allclose(np.linalg.norm(back(stored).astype(np.float64), axis=1), 1, atol=1e-7)
    assert (np.abs(stored["embedding"].astype(int)).max(1) == 127).all()


def test_a_row_of_nan_stays_one_in_every_type():
    nothing = np.full((2, 4), np.nan, np.float32)
    for dtype in ("float32", "float16", "int8"):
        assert np.isnan(back(to_stored(nothing, dtype))).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_readers_do_not_see_the_type(world, dtype):
    config = experiment(cache={"dtype": dtype})
    source, teacher = open_source("data/faces"), TinyTeacher()
    cache = TeacherCache(build(config, source, teacher, threads=1, quiet=True))
    group = zarr.open_group(cache.path, mode="r")
    assert ("scale" in group) == (dtype == "int8")
    samples = np.random.default_rng(1).permutation(len(source))
    raw = teacher.embed(np.stack([source.rgb(i)[:, ::-1] for i in samples]))
    got = cache.gather(samples, 1)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=5e-3)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-3 if dtype == "float16" else 1e-6)
    plain = group["embedding"][1].astype(np.float32) * (group["scale"][1][:, None] if dtype == "int8" else 1)
    assert np.array_equal(got, plain[samples])
    own = group["center"][:][cache.labels[samples]]
    np.testing.assert_allclose(cache.confidence(samples, 1), (got * own).sum(1), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_planned_bytes_are_those_on_disk(world, dtype):
    path = build(experiment(cache={"dtype": dtype}), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    shards = [p.stat().st_size for p in path.rglob("*") if p.is_file() and p.name != "zarr.json"]
    assert layout_of(TeacherCache(path).manifest).bytes_on_disk == sum(shards)
