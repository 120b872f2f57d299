"""Damage is found, named and mended."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cache.__main__ import main
from cache.build import build
from cache.reader import TeacherCache
from cache.repair import drop_damaged
from cache.verify import check_faces, check_store
from common.config.file import toml_of
from common.errors import CacheError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, jpegs, tree


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
