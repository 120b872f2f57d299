"""Class centres and confidences are those of a brute-force loop over the stored rows."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.build import build
from cache.format import Layout, layout_of, read_runtimes
from cache.reader import TeacherCache
from cache.seal import class_sums
from common.errors import CacheError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, jpegs, tree


def build_uneven(world, **cache) -> zarr.Group:
    """Classes of 4, 1, 2, 6 and 3 photos, one of them photographed twice the same; opened without our reader."""
    people = [faces[:n] for faces, n in zip(jpegs(5, 6), (4, 1, 2, 6, 3), strict=True)]
    people[2][1] = people[2][0]
    write_recordio_dataset(world / "data" / "faces", people)
    path = build(experiment(cache=cache), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    return zarr.open_group(path, mode="r")


def stored_rows(group: zarr.Group) -> np.ndarray:
    rows = group["embedding"][:].astype(np.float32)
    return (rows * group["scale"][:][..., None] if "scale" in group else rows).astype(np.float64)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_centres_are_the_unit_mean_of_a_class_and_confidence_the_cosine_with_it(world, dtype):
    group = build_uneven(world, dtype=dtype)
    rows, labels = stored_rows(group), group["label"][:]
    for c in range(5):
        center = unit(rows[:, labels == c].sum((0, 1)))
        np.testing.assert_allclose(group["center"][c], center, atol=1e-6)
        np.testing.assert_allclose(group["confidence"][:, labels == c], rows[:, labels == c] @ center, atol=1e-6)
    assert group["count"][:].tolist() == [4, 1, 2, 6, 3]


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_leave_one_out_takes_the_centre_without_any_view_of_the_sample(world, dtype):
    group = build_uneven(world, dtype=dtype, confidence="leave_one_out")
    rows, labels = stored_rows(group), group["label"][:]
    views, samples = group["confidence"].shape
    for sample in range(samples):
        others = (labels == labels[sample]) & (np.arange(samples) != sample)
        center = unit(rows[:, others if others.any() else [sample]].sum((0, 1)))
        for view in range(views):
            want = rows[view, sample] @ center
            assert group["confidence"][view, sample] == pytest.approx(want, abs=1e-6), sample
    np.testing.assert_allclose(group["center"][3], unit(rows[:, labels == 3].sum((0, 1))), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
@pytest.mark.parametrize("confidence", ["center", "leave_one_out"])
def test_any_number_of_threads_seals_to_the_same_bytes(world, dtype, confidence):
    sealed = []
    for threads in (1, 2, 5):
        config = experiment(cache={"dtype": dtype, "confidence": confidence, "path": f"caches/{threads}"})
        sealed.append(tree(build(config, open_source("data/faces"), TinyTeacher(), threads=threads, quiet=True)))
    different = {file for file in sealed[0] for other in sealed[1:] if other[file] != sealed[0][file]}
    assert different <= {"zarr.json", "ledger/zarr.json"}, "where the number of threads is recorded"


def test_threads_that_add_to_one_class_at_once_lose_nothing(monkeypatch):
    layout = Layout(2, 8 * 400, 512, 2, "float32", shard_rows=8, chunk_rows=8)
    monkeypatch.setattr("cache.seal._rows", lambda *_: np.full((8, 512), 0.25, np.float32))
    labels, kept = np.ones(layout.samples, np.int32), np.ones(layout.samples, bool)
    sums = class_sums(Path("nowhere"), layout, labels, kept, threads=8)
    assert (sums == np.array([[0], [2 * 8 * 400 * 2**34]])).all()


def test_leaving_out_lowers_the_confidence_of_small_classes(world):
    plain = build_uneven(world)["confidence"][:]
    loo = build_uneven(world, confidence="leave_one_out", path="caches/loo")["confidence"][:]
    # The second class has one photo, which keeps its centre; the third two equal ones, which vouch for each other.
    alone, both = 4, [5, 6]
    np.testing.assert_allclose(loo[:, alone], plain[:, alone], atol=1e-6)
    np.testing.assert_allclose(loo[:, both], plain[:, both], atol=1e-3)
    others = np.delete(np.arange(16), [alone, *both])
    assert (loo[:, others].mean(0) < plain[:, others].mean(0)).all()


def test_the_manifest_says_which_confidence_and_another_is_refused(world):
    build_uneven(world, confidence="leave_one_out")
    assert TeacherCache("caches/tiny").manifest["confidence"] == "leave_one_out"
    with pytest.raises(CacheError, match="confidence is 'leave_one_out' in the cache and 'center' now"):
        build_uneven(world)


def edited_record(world, **changes) -> None:
    """A build is interrupted, and fields of its first unit's record are written over."""
    with pytest.raises(KeyboardInterrupt):
        build(experiment(), open_source("data/faces"), TinyTeacher(fail_after=7), threads=1, quiet=True)
    record = next(iter(sorted((world / "caches/tiny/ledger").glob("view*.json"))))
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


def test_a_ledger_that_leaves_out_a_sample_there_is_not_is_refused(world):
    edited_record(world, skipped={"9999": "does not decode"})
    with pytest.raises(CacheError, match=r"ledger: skips sample 9999 of 35: build the cache again"):
        build(
            experiment(cache={"on_bad_image": "skip"}),
            open_source("data/faces"),
            TinyTeacher(),
            threads=1,
            quiet=True,
        )


def test_a_unit_whose_record_names_no_runtime_is_sealed_without_one(world):
    edited_record(world, units={})
    path = build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    assert len(read_runtimes(path)) == len(list(layout_of(TeacherCache(path).manifest).units())) - 1
