"""Repair refuses what it cannot mend before it changes anything, and mends whatever it accepts."""

import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner

from cache.__main__ import main
from cache.audit.audit import audit
from cache.build import build
from cache.format.arrays import layout_of, read_rows, write_rows
from cache.reader import TeacherCache
from cache.repair import drop_damaged, repair
from cache.verify import check_store
from common.config.file import toml_of
from common.errors import CacheError, UserError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.writers.claims import at_work
from tests.tiny import TinyTeacher, experiment, jpegs, tree, write_faces

CACHE = Path("caches/tiny")


def build_here(teacher: TinyTeacher | None = None, **sections) -> Path:
    return build(experiment(**sections), open_source("data/faces"), teacher or TinyTeacher(), threads=1, quiet=True)


def repair_here(teacher: TinyTeacher | None = None, **sections) -> Path:
    return repair(experiment(**sections), open_source("data/faces"), teacher or TinyTeacher(), threads=1, quiet=True)


@pytest.fixture
def path(world) -> Path:
    return build_here()


def other_labels() -> None:
    people = jpegs(7, 5)
    people[0], people[1] = people[0] + people[1][:1], people[1][1:]
    write_recordio_dataset(Path("data/faces"), people)


OTHER = {
    "other faces": (lambda: write_faces(Path("data/faces"), 7, 4), {}, r"faces\.samples is 35 in the cache and 28 now"),
    "other labels": (other_labels, {}, r"faces\.fingerprint"),
    "other teacher": (lambda: None, {"teacher": TinyTeacher(seed=1)}, r"teacher\.weights_sha256"),
    "other views": (lambda: None, {"views": {"policy": "none"}}, r"views\.policy"),
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("other", OTHER)
def test_what_the_cache_was_not_made_of_is_refused_with_nothing_changed(world, other, sealed):
    if sealed:
        build_here()
        shard = CACHE / "norm/c/0/0"
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        with pytest.raises(KeyboardInterrupt):
            build_here(TinyTeacher(fail_after=7))
    change, arguments, match = OTHER[other]
    change()
    before = tree(CACHE)
    with pytest.raises(CacheError, match=match):
        repair_here(**arguments)
    assert tree(CACHE) == before


def test_labels_are_never_those_of_other_faces_also_without_a_teacher(path):
    before = tree(path)
    other_labels()
    with pytest.raises(CacheError, match=r"faces\.fingerprint"):
        drop_damaged(path, open_source("data/faces"))
    assert tree(path) == before


@pytest.mark.parametrize("name", ["label/c/0", "center/c/0/0", "count/c/0"])
@pytest.mark.parametrize("damage", ["delete", "other", "fifo", "folder"])
def test_small_arrays_that_are_not_as_written_are_refused_by_name_and_mended(path, name, damage):
    whole, file = tree(path), path / name
    content = file.read_bytes()
    file.unlink()
    if damage == "other":  # whole for Zarr, with all its checksums
        file.write_bytes(content)
        layout, array = layout_of(TeacherCache(path).manifest), name.split("/")[0]
        write_rows(path, layout, array, read_rows(path, layout, array) + 1)
    elif damage == "fifo":
        os.mkfifo(file)
    elif damage == "folder":
        file.mkdir()
    cache = TeacherCache(path)
    with pytest.raises(CacheError, match=rf"{name}: .*mend it with `python -m cache repair`"):
        print(cache.labels, cache.centers, cache.counts)
    with pytest.raises(CacheError, match=name):
        audit(cache)
    repair_here()
    assert tree(path) == whole
    assert check_store(path) == []


@pytest.mark.parametrize("name", ["confidence/c/0/0", "confidence/c/1/4"])
def test_a_whole_shard_of_other_length_in_the_place_of_one_is_refused(path, name):
    """The last shard of a view has fewer rows; reading it for another would end beyond the file."""
    other = {"0": "4", "4": "0"}[Path(name).name]
    (path / name).write_bytes((path / name).with_name(other).read_bytes())
    with pytest.raises(CacheError, match=rf"{name}: \d+ bytes, \d+ were written"):
        TeacherCache(path).confidence(np.arange(3), 0)


def test_labels_changed_before_the_seal_are_refused_and_mended(world):
    whole = tree(build_here())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cache.build.seal", lambda *_: None)
        build_here(cache={"path": "caches/half"})
    shards = [Path("caches/half/label/c") / name for name in ("0", "1")]
    first, second = (shard.read_bytes() for shard in shards)
    shards[0].write_bytes(second)
    assert check_store(Path("caches/half"))[0].endswith("label/c/0: its bytes changed after it was written")
    with pytest.raises(CacheError, match=r"label/c/0: its bytes changed .*python -m cache repair"):
        build_here(cache={"path": "caches/half"})
    shards[0].write_bytes(first)
    shards[1].unlink()
    with pytest.raises(CacheError, match=r"label/c/1: missing .*python -m cache repair"):
        build_here(cache={"path": "caches/half"})
    assert tree(repair_here(cache={"path": "caches/half"})) == whole


def test_a_cut_shard_of_an_unfinished_cache_is_computed_again_without_being_told(world):
    """Its size is not the ledger's, so its unit is not finished."""
    whole = tree(build_here())
    with pytest.raises(KeyboardInterrupt):
        build_here(TinyTeacher(fail_after=7), cache={"path": "caches/half"})
    shard = Path("caches/half/embedding/c/0/1/0")
    size = shard.stat().st_size
    os.truncate(shard, size - 1)
    assert check_store(Path("caches/half"))[0] == f"{shard}: {size - 1} bytes, {size} were written"
    assert "1 of 10 units finished" in check_store(Path("caches/half"))[-1]
    assert tree(build_here(cache={"path": "caches/half"})) == whole


@pytest.mark.parametrize("command", ["build", "append", "repair", "subset"])
def test_a_second_writer_is_told_who_is_at_work(path, command, monkeypatch):
    Path("tiny.toml").write_text(toml_of(experiment()))
    place = Path("caches/other") if command in ("build", "subset") else path
    arguments = {"build": ["--set", "cache.path=caches/other"], "subset": ["--first", "2", "--out", "caches/other"]}
    with (
        at_work(place, "a build", shared=command != "build"),
        mock.patch("cache.teachers.open_teacher", return_value=TinyTeacher()),
    ):
        said = CliRunner().invoke(main, [command, "--config", "tiny.toml", *arguments.get(command, [])])
    assert said.exit_code == 2
    assert f"{place}: a build (process " in said.output
    assert "is at work on it" in said.output


def test_a_finished_build_needs_no_lock(path):
    with at_work(path, "a repair"):
        assert build_here() == path
        with pytest.raises(UserError, match="a repair"):
            repair_here()
