"""Damage is found, named and mended; replay says what changed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cache.__main__ import main
from cache.build import build
from cache.reader import TeacherCache
from cache.repair import drop_damaged
from cache.replay import replay
from cache.verify import check_faces, check_store
from common.config.file import toml_of
from common.errors import CacheError
from common.faces.pixels import decode_rgb
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.faces.views import Views
from tests.cache.test_build import tree
from tests.tiny import TinyTeacher, experiment, jpegs


@pytest.fixture
def path(world) -> Path:
    return build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def shard_files(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name != "zarr.json")


def test_a_whole_store_has_no_faults(path):
    assert check_store(path) == []


def test_every_single_bit_flip_is_detected_and_named(path):
    """500 random flips over all shard files; zarr alone lets most of them pass or reads fill values."""
    files, rng = shard_files(path), np.random.default_rng(0)
    for _ in range(500):
        file = files[rng.integers(len(files))]
        data = bytearray(file.read_bytes())
        at = rng.integers(len(data))
        data[at] ^= 1 << rng.integers(8)
        whole = file.read_bytes()
        file.write_bytes(data)
        faults = check_store(path)
        file.write_bytes(whole)
        assert len(faults) == 1
        assert str(file) in faults[0]


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[3] ^= 64
    file.write_bytes(data)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def swap(file: Path) -> None:
    """With the next shard of the same array, whole files both."""
    shard = file.parent if file.parent.parent.parent.name == "c" else file
    other = shard.with_name(str((int(shard.name) + 1) % 5)) / file.name if shard != file else file.with_name("3")
    a, b = file.read_bytes(), other.read_bytes()
    file.write_bytes(b)
    other.write_bytes(a)


DAMAGE = {"flip": flip, "truncate": truncate, "delete": Path.unlink, "swap": swap}


@pytest.mark.parametrize(
    "array", ["embedding/c/0/0/0", "norm/c/1/2", "pixels/c/0/4", "confidence/c/1/0", "label/c/0", "picture/c/2"]
)
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "swap"])
def test_damage_is_named_and_repaired_to_the_same_bytes(path, array, damage):
    whole = tree(path)
    DAMAGE[damage](path / array)
    assert any(array in fault for fault in check_store(path))
    teacher, source = TinyTeacher(), open_source("data/faces")
    drop_damaged(path, source)
    assert tree(build(experiment(), source, teacher, threads=1, quiet=True)) == whole
    assert teacher.calls <= 6, "no more than the damaged units are computed"


def test_an_edited_ledger_is_found(path):
    ledger = path / "ledger" / "zarr.json"
    ledger.write_text(ledger.read_text().replace('"bytes": ', '"bytes":  ', 1))
    assert "ledger is not the one that was sealed" in check_store(path)[0]


@pytest.mark.parametrize(("was", "is_now"), [('"tiny.onnx"', '"huge.onnx"'), ('"center"', '"leave_one_out"')])
def test_an_edited_manifest_is_found_and_refused(path, was, is_now):
    file = path / "zarr.json"
    text = file.read_text()
    assert was in text
    file.write_text(text.replace(was, is_now))
    assert "the manifest is not the one that was sealed" in check_store(path)[0]
    with pytest.raises(CacheError, match="the manifest is not the one that was sealed"):
        TeacherCache(path)


def test_edited_metadata_of_an_array_is_found(path):
    file = path / "norm" / "zarr.json"
    file.write_text(file.read_text().replace("float32", "float64"))
    assert [str(path / "norm") in fault for fault in check_store(path)] == [True]


def test_an_unfinished_store_is_no_whole_one(world):
    with pytest.raises(KeyboardInterrupt):
        build(experiment(), open_source("data/faces"), TinyTeacher(fail_after=7), threads=1, quiet=True)
    assert "not sealed, 2 of 10 units finished" in check_store(Path("caches/tiny"))[-1]


def test_replay_of_unchanged_inputs_agrees(path):
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40)
    assert again.faults() == []
    assert len(again.cosine) == 40


def causes(path: Path, teacher: TinyTeacher | None = None, pairs: int = 40) -> list[str]:
    again = replay(TeacherCache(path), open_source("data/faces"), teacher or TinyTeacher(), pairs)
    return [fault.split(":")[0] for fault in again.faults()]


def test_replay_says_that_the_teacher_changed(path):
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(seed=1), 40)
    assert len(again.teacher) == 40
    assert [fault.split(":")[0] for fault in again.faults()] == ["teacher changed"]


def test_replay_says_which_pictures_changed(path):
    people = jpegs(7, 5)
    people[2][1], people[2][2] = people[2][2], people[2][1]
    write_recordio_dataset(Path("data/faces"), people)
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 200)
    assert {sample for sample, _ in again.data} == {11, 12}
    assert not again.decoder + again.views + again.teacher


def test_a_picture_that_no_longer_decodes_is_changed_data(path):
    people = jpegs(7, 5)
    people[2][1] = people[2][1][:300]
    write_recordio_dataset(Path("data/faces"), people)
    assert causes(path, pairs=200) == ["data changed"]


def test_replay_says_that_the_decoder_changed(path, monkeypatch):
    """Another decoder rounds otherwise and says another version; the encoded pictures are the same."""
    monkeypatch.setattr("common.faces.sources.decode_rgb", lambda jpeg, name: 255 - decode_rgb(jpeg, name))
    monkeypatch.setattr("cache.replay.decoder_version", lambda: "decoder 9")
    assert causes(path) == ["decoder changed"]


def test_another_decoder_with_the_same_pixels_is_no_fault(path, monkeypatch):
    monkeypatch.setattr("cache.replay.decoder_version", lambda: "decoder 9")
    assert causes(path) == []


def test_replay_says_that_the_views_changed(path, monkeypatch):
    render = Views.render
    monkeypatch.setattr(Views, "render", lambda self, rgb, sample, view: render(self, rgb, sample, 0))
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40)
    assert [fault.split(":")[0] for fault in again.faults()] == ["views changed"]
    assert {view for _, view in again.views} == {1}, "view 0 is as stored"


def test_each_of_several_causes_is_told_of_its_own_faces(path):
    people = jpegs(7, 5)
    people[0][0] = people[6][4]
    write_recordio_dataset(Path("data/faces"), people)
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(seed=1), 300)
    assert {sample for sample, _ in again.data} == {0}
    assert {sample for sample, _ in again.teacher} == set(range(1, 35))


def test_other_labels_of_the_same_pictures_are_changed_data(path):
    cache = TeacherCache(path)
    assert check_faces(cache, open_source("data/faces")) == []
    people = jpegs(7, 5)
    people[0], people[1] = people[0] + people[1][:1], people[1][1:]
    write_recordio_dataset(Path("data/faces"), people)
    faults = check_faces(cache, open_source("data/faces"))
    assert [fault.split(" was ")[0] for fault in faults] == [
        "data changed: faces.fingerprint",
        "data changed: the labels of 1 samples, such as 5",
    ]


def test_the_command_compares_labels_where_the_faces_are(path):
    Path("tiny.toml").write_text(toml_of(experiment()))
    verify = ["verify", "--config", "tiny.toml"]
    assert CliRunner().invoke(main, verify).exit_code == 0
    write_recordio_dataset(Path("data/faces"), jpegs(7, 5)[::-1])
    changed = CliRunner().invoke(main, verify)
    assert changed.exit_code == 1
    assert "FAULT: data changed" in changed.output
    shutil.rmtree("data/faces")
    gone = CliRunner().invoke(main, verify)
    assert gone.exit_code == 0
    assert "labels are not compared" in gone.output
