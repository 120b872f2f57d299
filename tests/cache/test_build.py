"""Stage one: what is stored, what binds it, and that an interruption leaves no trace."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from cache.build import build
from cache.format import read_manifest
from cache.info import describe_cache
from cache.reader import TeacherCache
from common.errors import CacheError, DataError, ModelError
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.models.model_check import labelled_sample
from tests.tiny import TinyTeacher, experiment, jpegs, portrait, tree, write_faces


def build_here(teacher: TinyTeacher | None = None, **sections) -> Path:
    config = experiment(**sections)
    source = open_source("data/faces")
    return build(config, source, teacher or TinyTeacher(), threads=1, quiet=True)


def test_the_store_holds_what_the_teacher_says_of_every_view(world):
    path = build_here(cache={"dtype": "float32"})
    source, teacher = open_source("data/faces"), TinyTeacher()
    group = zarr.open_group(path, mode="r")
    for i in range(len(source)):
        for view, face in enumerate((source.rgb(i), source.rgb(i)[:, ::-1])):
            raw = teacher.embed(np.ascontiguousarray(face)[None])[0]
            np.testing.assert_allclose(group["embedding"][view, i], raw / np.linalg.norm(raw), atol=1e-6)
            assert group["norm"][view, i] == pytest.approx(np.linalg.norm(raw), rel=1e-6)
    assert np.array_equal(group["label"][:], source.labels)


def test_centres_and_confidences_are_those_of_the_stored_rows(world):
    group = zarr.open_group(build_here(), mode="r")
    rows, labels = group["embedding"][:].astype(np.float64), group["label"][:]
    for c in range(7):
        mean = rows[:, labels == c].sum((0, 1))
        center = mean / np.linalg.norm(mean)
        np.testing.assert_allclose(group["center"][c], center, atol=1e-6)
        np.testing.assert_allclose(group["confidence"][:, labels == c], rows[:, labels == c] @ center, atol=1e-6)
        assert group["count"][c] == 5


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("fail_after", [0, 1, 4, 8, 20])
def test_an_interrupted_build_ends_in_the_bytes_of_an_undisturbed_one(world, fail_after, workers):
    whole = tree(build_here())
    shutil.rmtree("caches")
    with pytest.raises(KeyboardInterrupt):
        build_here(TinyTeacher(fail_after=fail_after), cache={"workers": workers})
    with pytest.raises(CacheError, match="not finished"):
        TeacherCache("caches/tiny")
    again = TinyTeacher()
    assert tree(build_here(again, cache={"workers": workers})) == whole
    # Units of three batches; the finished ones are not computed again.
    assert again.calls <= 24 - 3 * (fail_after // 3) + 2


def test_a_finished_cache_is_left_alone(world):
    before = tree(build_here())
    teacher = TinyTeacher()
    assert tree(build_here(teacher)) == before
    assert teacher.calls == 0


LOST = {
    "a shard": (lambda path: (path / "embedding/c/0/1/0").unlink(), "embedding/c/0/1/0: missing"),
    "a shard's end": (lambda path: os.truncate(path / "norm/c/1/0", 7), "norm/c/1/0: 7 bytes, "),
    "an array's metadata": (lambda path: (path / "label/zarr.json").unlink(), "label/zarr.json: "),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_finished_cache_that_lost_something_is_not_called_finished(world, lost):
    lose, match = LOST[lost]
    lose(build_here())
    with pytest.raises(CacheError, match=f"{match}.*`python -m cache repair`"):
        build_here()


def test_a_kill_while_sealing_leaves_no_trace(world, monkeypatch):
    whole = tree(build_here())
    shutil.rmtree("caches")
    for breaking in ("cache.seal.gather_ledger", "cache.seal.write_manifest", "cache.seal.class_sums"):
        with monkeypatch.context() as patch:
            patch.setattr(breaking, lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                build_here()
    assert tree(build_here()) == whole


def test_what_a_kill_left_of_a_small_file_is_gone_when_sealed(world):
    whole = tree(build_here())
    shutil.rmtree("caches")
    with pytest.raises(KeyboardInterrupt):
        build_here(TinyTeacher(fail_after=7))
    for name in (".zarr.json.77.tmp", "ledger/.view0-shard00001.json.77.tmp", "norm/c/1/.2.writing"):
        Path("caches/tiny", name).parent.mkdir(parents=True, exist_ok=True)
        Path("caches/tiny", name).write_text("half")
    assert tree(build_here()) == whole


def other_faces(world):
    write_faces(world / "data" / "faces", people=7, photos=6)


@pytest.mark.parametrize(
    ("what", "match"),
    [
        (lambda w: build_here(TinyTeacher(seed=1)), "teacher.weights_sha256 is '0+' in the cache and '0+1' now"),
        (lambda w: build_here(views={"policy": "none"}), "views.policy is 'flip' in the cache and 'none' now"),
        (lambda w: (other_faces(w), build_here()), r"faces.samples is 35 in the cache and 42 now"),
    ],
    ids=["teacher", "views", "faces"],
)
def test_a_cache_of_something_else_is_refused_with_both_values(world, what, match):
    build_here()
    with pytest.raises(CacheError, match=match):
        what(world)


def test_a_cache_is_bound_to_how_its_faces_were_aligned_and_tells_it(world):
    aligner = {"detector": {"name": "yunet", "sha256": "8f" * 32}, "choose": "central", "size": [112, 112]}
    (world / "data" / "faces" / "aligner.json").write_text(json.dumps(aligner))
    path = build_here()
    assert read_manifest(path)["faces"]["aligner"] == aligner
    assert "choose central, detector (name yunet, sha256 8f8f8f8f8f8f), size 112x112" in " ".join(
        describe_cache(path).split()
    )
    (world / "data" / "faces" / "aligner.json").write_text(json.dumps({**aligner, "choose": "all"}))
    with pytest.raises(CacheError, match=r"faces\.aligner\.choose is 'central' in the cache and 'all' now"):
        build_here()
    (world / "data" / "faces" / "aligner.json").unlink()
    with pytest.raises(CacheError, match=r"faces\.aligner"):
        build_here()
    shutil.rmtree("caches")
    assert "aligner" not in read_manifest(build_here())["faces"]


def test_a_folder_that_is_no_cache_is_not_written_into(world):
    Path("caches/tiny").mkdir(parents=True)
    with pytest.raises(CacheError, match="no teacher cache"):
        build_here()


def test_a_damaged_unit_is_noticed_before_sealing(world):
    with pytest.raises(KeyboardInterrupt):
        build_here(TinyTeacher(fail_after=23))
    shard = Path("caches/tiny/embedding/c/0/1/0")
    data = bytearray(shard.read_bytes())
    data[5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CacheError, match=r"embedding/c/0/1/0: its bytes changed"):
        build_here()
    shard.unlink()
    assert TeacherCache(build_here()).gather([9], 0).shape == (1, 16)


def test_a_teacher_that_gives_nan_is_named_with_the_record(world):
    class Broken(TinyTeacher):
        def embed(self, faces):
            return np.full((len(faces), 16), np.nan, np.float32)

    with pytest.raises(ModelError, match=r"train\.rec: record 1 .*not finite"):
        build_here(Broken())


def test_a_jpeg_that_does_not_decode_stops_the_build_with_its_name(world):
    from common.faces.recordio_dataset import write_recordio_dataset
    from tests.tiny import jpegs

    people = jpegs(3, 3)
    people[1][2] = b"no jpeg at all"
    write_recordio_dataset(world / "data" / "faces", people)
    with pytest.raises(DataError, match=r"train\.rec: record 6"):
        build_here()


@pytest.mark.parametrize("sample", [1, 3, 30])  # in the first batch, the first of its batch, in a later shard
@pytest.mark.parametrize("workers", [0, 2])
def test_a_face_of_another_size_is_one_line_with_both_sizes(world, sample, workers):
    people = jpegs(7, 5)
    people[sample // 5][sample % 5] = encode_jpeg(portrait(sample // 5, sample % 5)[:96])
    write_recordio_dataset(world / "data" / "faces", people)
    with pytest.raises(DataError, match=r"x112 pixels, where .* has .*x112: align all faces to one size") as error:
        build_here(cache={"workers": workers})
    assert re.search(rf"record {sample + 1}(: 96| has 96)x112", str(error.value))


def test_a_check_of_the_teacher_on_faces_of_mixed_size_is_the_same_line(world):
    people = jpegs(7, 5)
    people[0][1] = encode_jpeg(portrait(0, 1)[:96])
    write_recordio_dataset(world / "data" / "faces", people)
    with pytest.raises(DataError, match=r"record 2: 96x112 pixels, where .*record 1 has 112x112: align all faces"):
        labelled_sample(open_source("data/faces"))
