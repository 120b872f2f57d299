"""The mapped reader equals the plain Zarr read, wherever and however it is opened."""

import multiprocessing
import pickle
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.build import build
from cache.format.arrays import FORMAT, create_cache, write_part
from cache.format.layout import Layout
from cache.format.ledger import record_unit
from cache.format.row_types import to_stored
from cache.reader import TeacherCache
from cache.seal import seal
from common.config import ModelConfig
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment


@pytest.fixture
def cache(world) -> TeacherCache:
    return TeacherCache(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))


def everything(cache: TeacherCache) -> tuple[np.ndarray, np.ndarray]:
    views, samples = np.meshgrid(np.arange(cache.views), np.arange(len(cache)), indexing="ij")
    return samples.ravel(), views.ravel()


def test_every_row_of_every_array_equals_the_plain_read(cache):
    group = zarr.open_group(cache.path, mode="r")
    samples, views = everything(cache)
    shuffled = np.random.default_rng(0).permutation(len(samples))
    samples, views = samples[shuffled], views[shuffled]
    assert np.array_equal(cache.gather(samples, views), group["embedding"][:][views, samples].astype(np.float32))
    for name in ("confidence", "norm", "pixels"):
        assert np.array_equal(getattr(cache, name)(samples, views), group[name][:][views, samples])
    assert np.array_equal(cache.centers, group["center"][:])
    assert np.array_equal(cache.labels, group["label"][:])


def test_rows_are_float32_and_of_unit_length(cache):
    rows = cache.gather(np.arange(len(cache)), 1)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_cache_equals_zarr_for_every_layout_and_type(data, tmp_path_factory):
    chunk = data.draw(st.integers(1, 5), "chunk_rows")
    layout = Layout(
        views=data.draw(st.integers(1, 3), "views"),
        samples=data.draw(st.integers(1, 25), "samples"),
        dim=data.draw(st.integers(1, 9), "dim"),
        classes=data.draw(st.integers(1, 12), "classes"),
        dtype=data.draw(st.sampled_from(["float16", "float32", "int8"]), "dtype"),
        shard_rows=chunk * data.draw(st.integers(1, 4), "chunks in a shard"),
        chunk_rows=chunk,
    )
    path = tmp_path_factory.mktemp("layout") / "store"
    write_random_store(path, layout)
    cache, group = TeacherCache(path), zarr.open_group(path, mode="r")
    pairs = data.draw(st.lists(st.tuples(st.integers(0, layout.samples - 1), st.integers(0, layout.views - 1))))
    samples, views = np.array(pairs, np.int64).reshape(-1, 2).T
    plain = {name: array[:] for name, array in group.arrays()}
    rows = plain["embedding"][views, samples].astype(np.float32)
    rows = rows * plain["scale"][views, samples][:, None] if layout.dtype == "int8" else rows
    assert np.array_equal(cache.gather(samples, views), rows)
    for name in ("confidence", "norm", "pixels"):
        assert np.array_equal(getattr(cache, name)(samples, views), plain[name][views, samples])
    assert np.array_equal(cache.picture(samples), plain["picture"][samples])
    assert np.array_equal(cache.centers, plain["center"])
    assert np.array_equal(cache.counts, np.bincount(plain["label"], minlength=layout.classes))


def write_random_store(path: Path, layout: Layout) -> None:
    random = np.random.default_rng(layout.samples)
    manifest = {
        "format": FORMAT,
        "teacher": {**TinyTeacher().describe(), "size": [112, 112]},
        "faces": {"kind": "made up", "samples": layout.samples, "identities": layout.classes, "fingerprint": ""},
        "views": {"policy": "none", "seed": 0, "count": layout.views},
        "confidence": "center",
        "decoder": "none",
        "layout": asdict(layout),
    }
    create_cache(path, layout, manifest, random.integers(0, layout.classes, layout.samples, np.int32))
    for unit in layout.units():
        count = unit.stop - unit.start
        rows = random.standard_normal((count, layout.dim)).astype(np.float32)
        values = to_stored(rows / np.linalg.norm(rows, axis=1, keepdims=True), layout.dtype)
        for name in ("norm", "pixels", "picture"):
            values[name] = random.integers(0, 1000, count)
        for name in layout.unit_arrays(unit):
            write_part(path, layout, name, unit.view, unit.shard, values[name])
        record_unit(path, layout, unit, {}, [])
    seal(path)


def test_rows_and_views_that_are_not_there_are_refused(cache):
    for samples, views in (([35], 0), ([-1], 0), ([0], 2), ([0], [-1])):
        with pytest.raises(IndexError, match=r"35|2"):
            cache.gather(np.array(samples), np.array(views))


def _gather_in_child(cache: TeacherCache, queue) -> None:
    queue.put(cache.gather(np.arange(10), 1))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_the_same(cache, method):
    expected = cache.gather(np.arange(10), 1)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_gather_in_child, args=(cache, queue))
    process.start()
    assert np.array_equal(queue.get(timeout=60), expected)
    process.join()


def test_a_pickle_holds_the_path_only(cache):
    cache.gather(np.arange(3), 0)
    assert len(pickle.dumps(cache)) < 1000


@pytest.mark.parametrize("damage", ["truncate", "delete", "index"])
def test_damaged_shards_are_refused_by_name(cache, damage):
    shard = cache.path / "embedding/c/1/2/0"
    data = bytearray(shard.read_bytes())
    if damage == "truncate":
        shard.write_bytes(data[:-3])
    elif damage == "delete":
        shard.unlink()
    else:
        data[-10] ^= 4
        shard.write_bytes(data)
    with pytest.raises(CacheError, match="embedding/c/1/2/0"):
        cache.gather(np.arange(3), 0)


def test_an_edited_ledger_is_refused(cache):
    ledger = cache.path / "ledger" / "zarr.json"
    ledger.write_text(ledger.read_text().replace('"bytes": ', '"bytes": 1', 1))
    with pytest.raises(CacheError, match="ledger is not the one that was sealed"):
        TeacherCache(cache.path)


def test_a_student_of_other_faces_views_pixels_or_teacher_is_refused(cache):
    have = cache.manifest
    cache.require(have["faces"], have["views"], have["decoder"])
    with pytest.raises(CacheError, match=r"faces.fingerprint is .* in the cache and 'other' now"):
        cache.require({**have["faces"], "fingerprint": "other"}, have["views"], have["decoder"])
    with pytest.raises(CacheError, match=r"views.seed is 0 in the cache and 1 now"):
        cache.require(have["faces"], {**have["views"], "seed": 1}, have["decoder"])
    with pytest.raises(CacheError, match="decoder"):
        cache.require(have["faces"], have["views"], "another decoder 9")
    with pytest.raises(CacheError, match=r"teacher.name is 'tiny.onnx' in the cache and 'huge.onnx' now"):
        cache.require_teacher(ModelConfig(weights="models/huge.onnx"), Path("data"))
    Path("data/tiny.onnx").write_bytes(b"other weights of the same name")
    with pytest.raises(CacheError, match=r"teacher.weights_sha256"):
        cache.require_teacher(ModelConfig(weights="tiny.onnx"), Path("data"))


def test_no_cache_says_how_to_build_one(tmp_path):
    with pytest.raises(CacheError, match="make cache-teacher"):
        TeacherCache(tmp_path / "nothing")
