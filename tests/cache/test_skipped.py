"""Pictures that do not decode are left out of everything. (For several ranks: test_build_ranks.py.)"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.append import append
from cache.build import build
from cache.info import describe_cache
from cache.reader import TeacherCache
from cache.repair import drop_damaged, repair
from cache.replay import replay
from cache.verify import check_store
from common.errors import DataError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import FaceSource, open_source
from tests.tiny import TinyTeacher, experiment, jpegs, tree

# A whole class (samples 10..14), a whole chunk and shard (16..23), one face (30), and the last one.
BAD = [*range(10, 15), *range(16, 24), 30, 34]
GOOD = np.setdiff1d(np.arange(35), BAD)


@pytest.fixture
def source(world: Path) -> FaceSource:
    people = jpegs(7, 5)
    for sample in BAD:
        people[sample // 5][sample % 5] = b"no picture" if sample % 2 else people[0][0][:200]
    people[4][3] = b""
    write_recordio_dataset(world / "data" / "faces", people)
    return open_source("data/faces")


def build_here(source: FaceSource, teacher: TinyTeacher | None = None, **cache) -> Path:
    config = experiment(cache={"on_bad_image": "skip", **cache})
    return build(config, source, teacher or TinyTeacher(), threads=1, quiet=True)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_their_rows_are_nan_and_all_others_what_they_are_without_them(source, dtype):
    cache = TeacherCache(build_here(source, dtype=dtype))
    assert cache.skipped.dtype == np.int64
    assert cache.skipped.tolist() == BAD
    for view in range(2):
        for read in (cache.gather, cache.norm, cache.confidence):
            assert np.isnan(read(np.array(BAD), view)).all()
            assert np.isfinite(read(GOOD, view)).all()
        assert not cache.pixels(np.array(BAD), view).any()
    faces = np.stack([source.rgb(i) for i in GOOD])
    raw = TinyTeacher().embed(faces)
    want = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(cache.gather(GOOD, 0), want, atol=1e-2 if dtype == "int8" else 1e-3)


@pytest.mark.parametrize("confidence", ["center", "leave_one_out"])
def test_no_class_counts_them_and_a_class_without_pictures_has_no_centre(source, confidence):
    path = build_here(source, dtype="float32", confidence=confidence)
    group = zarr.open_group(path, mode="r")
    rows, labels = group["embedding"][:].astype(np.float64), group["label"][:]
    assert group["count"][:].tolist() == [5, 5, 0, 1, 1, 5, 3]
    assert not group["center"][2].any()
    for c in (0, 1, 3, 4, 5, 6):
        members = [i for i in GOOD if labels[i] == c]
        total = rows[:, members].sum((0, 1))
        np.testing.assert_allclose(group["center"][c], total / np.linalg.norm(total), atol=1e-6)
        for i in members:
            others = total - rows[:, i].sum(0) if confidence == "leave_one_out" and len(members) > 1 else total
            want = rows[:, i] @ others / np.linalg.norm(others)
            np.testing.assert_allclose(group["confidence"][:, i], want, atol=1e-6)


def test_manifest_and_info_name_them_with_the_reason(source):
    path = build_here(source)
    skipped = TeacherCache(path).manifest["sealed"]["skipped"]
    assert sorted(map(int, skipped)) == BAD
    assert skipped["11"].startswith("train.rec: record 12: 10 bytes starting 6e 6f")
    assert "cut off" in skipped["10"]
    assert skipped["23"] == "train.rec: record 24 has no picture in it"
    text = describe_cache(path)
    assert "15 pictures that do not decode, such as train.rec: record 11" in text
    assert "nan" not in text


def test_resuming_and_repairing_keep_them(source):
    whole = tree(build_here(source))
    shutil.rmtree("caches")
    with pytest.raises(KeyboardInterrupt):
        build_here(source, TinyTeacher(fail_after=9))
    path = build_here(source)
    assert tree(path) == whole
    assert check_store(path) == []
    (path / "embedding/c/0/2/0").unlink()
    (path / "norm/c/1/1").write_bytes(b"?")
    assert drop_damaged(path, source) == 2
    assert tree(build_here(source)) == whole


def test_replay_agrees_with_what_was_skipped(source):
    again = replay(TeacherCache(build_here(source)), source, TinyTeacher(), 100)
    assert again.faults() == []
    assert 0 < len(again.cosine) < 100


def test_failing_is_the_default_and_refuses_a_cache_with_pictures_left_out(source):
    with pytest.raises(DataError, match=r"train\.rec: record 11"):
        build_here(source, on_bad_image="fail")
    build_here(source)
    with pytest.raises(DataError, match=r"15 pictures were left out, such as train\.rec: record 11.*on_bad_image"):
        build_here(source, on_bad_image="fail")


@pytest.mark.parametrize(("command", "views"), [(append, 3), (repair, 2)])
def test_a_command_that_is_refused_for_them_leaves_the_cache_sealed(source, command, views):
    of_two = experiment(cache={"on_bad_image": "skip"}, views={"policy": "flip+adaface", "count": 2})
    path = build(of_two, source, TinyTeacher(), threads=1, quiet=True)
    before = tree(path)
    config = experiment(cache={"on_bad_image": "fail"}, views={"policy": "flip+adaface", "count": views})
    with pytest.raises(DataError, match="15 pictures were left out"):
        command(config, source, TinyTeacher(), threads=1, quiet=True)
    assert tree(path) == before


def test_a_file_that_cannot_be_read_is_no_bad_picture(world):
    for person in range(2):
        folder = world / "data" / "people" / f"p{person}"
        folder.mkdir(parents=True)
        for photo, jpeg in enumerate(jpegs(2, 2)[person]):
            (folder / f"{photo}.jpg").write_bytes(jpeg)
    source = open_source("data/people")
    fingerprint = source.fingerprint()
    source.fingerprint = lambda: fingerprint  # type: ignore[method-assign]
    (world / "data/people/p1/0.jpg").unlink()
    with pytest.raises(DataError, match=r"p1/0\.jpg: cannot be read"):
        build_here(source)


def test_faces_none_of_which_decodes_still_make_a_store(world):
    write_recordio_dataset(world / "data" / "faces", [[b"nothing"] * 9, [b"at all"] * 2])
    path = build_here(open_source("data/faces"))
    assert TeacherCache(path).skipped.tolist() == list(range(11))
    assert not TeacherCache(path).counts.any()
    assert "no picture decodes" in describe_cache(path)
