"""Damage is found, named and mended; replay says what changed."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.reader import TeacherCache
from cache.repair import drop_damaged
from cache.verify import check_store, replay
from common.recordio_dataset import write_recordio_dataset
from common.sources import open_source
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


@pytest.mark.parametrize("array", ["embedding/c/0/0/0", "norm/c/1/2", "pixels/c/0/4", "confidence/c/1/0", "label/c/0"])
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


def test_an_unfinished_store_is_no_whole_one(world):
    with pytest.raises(KeyboardInterrupt):
        build(experiment(), open_source("data/faces"), TinyTeacher(fail_after=7), threads=1, quiet=True)
    assert "not sealed, 2 of 10 units finished" in check_store(Path("caches/tiny"))[-1]


def test_replay_of_unchanged_inputs_agrees(path):
    again = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40)
    assert again.faults() == []
    assert len(again.cosine) == 40


def test_replay_says_that_the_teacher_changed(path):
    faults = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(seed=1), 40).faults()
    assert len(faults) == 1
    assert faults[0].startswith("teacher changed")


def test_replay_says_that_the_pixels_changed(path):
    shutil.rmtree("data/faces")
    write_recordio_dataset(Path("data/faces"), jpegs(7, 5, first=100))
    faults = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40).faults()
    assert [fault.split(":")[0] for fault in faults] == ["data, views or decoder changed"]


def test_replay_says_that_labels_changed(path):
    people = jpegs(7, 5)
    people[0], people[1] = people[0] + people[1][:1], people[1][1:]
    write_recordio_dataset(Path("data/faces"), people)
    faults = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 200).faults()
    assert len(faults) == 1
    assert faults[0].startswith("data changed: the labels of")
