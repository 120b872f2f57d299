"""The mapped reader equals the plain Zarr read, wherever and however it is opened."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.build import build
from cache.mapping import RowWindow
from cache.reader import TeacherCache
from common.config import ModelConfig
from common.errors import CacheError
from common.sources import open_source
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


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_window_equals_zarr_for_every_layout(data, tmp_path_factory):
    chunk = data.draw(st.integers(1, 5), "chunk_rows")
    shard = chunk * data.draw(st.integers(1, 4), "chunks in a shard")
    total, width = data.draw(st.integers(1, 60), "rows"), data.draw(st.integers(1, 9), "width")
    dtype = data.draw(st.sampled_from(["float16", "float32", "uint32", "int8"]))
    folder = tmp_path_factory.mktemp("layout")
    from zarr.codecs import Crc32cCodec

    array = zarr.create_array(
        folder, shape=(total, width), dtype=dtype, chunks=(chunk, width), shards=(shard, width),
        compressors=[Crc32cCodec()], fill_value=0,
    )  # fmt: skip
    values = np.random.default_rng(total).integers(1, 99, (total, width)).astype(dtype)
    for start in range(0, total, shard):
        array[start : start + shard] = values[start : start + shard]
    files = [folder / "c" / str(i) / "0" for i in range(-(-total // shard))]
    rows = np.array(data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=20)))
    taken = RowWindow(files, dtype, width, shard, chunk).take(0, rows)
    assert np.array_equal(taken.reshape(len(rows), width), array[:][rows])


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
