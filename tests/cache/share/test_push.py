"""A push that is cut off is no cache; pushing again goes on, and mixes with nothing else."""

import errno
import os
import shutil
from pathlib import Path

import pytest

import common.files
from cache.build import build
from cache.share.remote import open_remote
from cache.share.share import pull, push
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree

OUT = Path("caches/pulled")


def test_an_interrupted_push_is_no_cache_and_goes_on(path, remote, monkeypatch):
    put, sent = type(remote)._put, []

    def failing(self, name, content):
        sent.append(name)
        if len(sent) == 9:
            raise KeyboardInterrupt
        put(self, name, content)

    monkeypatch.setattr(type(remote), "_put", failing)
    with pytest.raises(KeyboardInterrupt):
        push(path, remote, "unknown", "unknown")
    with pytest.raises(CacheError, match=r"zarr\.json: not there: no cache, or its push has not finished"):
        pull(remote, OUT)
    assert not OUT.exists()
    first = set(sent[:8])
    sent[:] = [""] * 100
    total = push(path, remote, "unknown", "unknown")
    again = set(sent[100:])
    assert not again & first
    assert len(again | first) == total
    pull(remote, OUT)


def test_what_is_not_whole_or_not_sealed_is_not_pushed(path, remote):
    shard = path / "norm/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CacheError, match="norm/c/0/0"):
        push(path, remote, "unknown", "unknown")
    config = experiment(cache={"path": "caches/half"})
    with pytest.raises(KeyboardInterrupt):
        build(config, open_source("data/faces"), TinyTeacher(fail_after=3), threads=1, quiet=True)
    with pytest.raises(CacheError, match="not finished"):
        push(Path("caches/half"), remote, "unknown", "unknown")


def test_another_cache_at_the_same_place_is_not_mixed_with(path, remote):
    push(path, remote, "unknown", "unknown")
    config = experiment(cache={"path": "caches/other"})
    other = build(config, open_source("data/faces"), TinyTeacher(1), threads=1, quiet=True)
    with pytest.raises(CacheError, match="another cache is there"):
        push(other, remote, "unknown", "unknown")
    assert pull(remote, OUT).exists()


@pytest.mark.parametrize("name", ["embedding/c/0/1/0", "label/zarr.json", "ledger/zarr.json", "README.md"])
def test_a_damaged_file_of_equal_size_is_sent_again_and_no_other(path, remote, monkeypatch, name):
    push(path, remote, "unknown", "unknown")
    file = remote._path(name)
    whole = remote._files.cat_file(file)
    remote._files.pipe_file(file, whole[:9] + bytes([whole[9] ^ 1]) + whole[10:])
    sent, put = [], type(remote)._put
    monkeypatch.setattr(type(remote), "_put", lambda self, name, content: (sent.append(name), put(self, name, content)))
    push(path, remote, "unknown", "unknown")
    assert sent == [name]
    assert remote._files.cat_file(file) == whole
    pull(remote, OUT)


@pytest.mark.parametrize("name", ["ledger/zarr.json", "zarr.json", "norm/c/0/0"])
@pytest.mark.parametrize("half", [0, 100])
def test_a_push_goes_on_after_a_file_that_was_left_half_written(path, remote, name, half):
    push(path, remote, "unknown", "unknown")
    if name != "zarr.json":
        remote._files.rm(remote._path("zarr.json"))
    remote._files.pipe_file(remote._path(name), remote._files.cat_file(remote._path(name))[:half])
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)
    assert tree(OUT).keys() - {"ledger/README.md"} == tree(path).keys()


def test_another_push_that_was_cut_off_is_not_mixed_with(path, remote):
    other = build(experiment(cache={"path": "caches/other"}), open_source("data/faces"), TinyTeacher(1), 1, True)
    push(other, remote, "unknown", "unknown")
    remote._files.rm(remote._path("zarr.json"))
    with pytest.raises(CacheError, match=r"another cache is there \(ledger/zarr\.json differs"):
        push(path, remote, "unknown", "unknown")


def test_a_full_disk_ends_a_push_in_one_line_with_nothing_half_written_and_it_goes_on(path, world, monkeypatch):
    remote, copy = open_remote(f"file://{world}/shared"), shutil.copyfile

    def full(source, target):
        if "norm/c/1/2" in str(source):
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return copy(source, target)

    monkeypatch.setattr("cache.share.remote.shutil.copyfile", full)
    with pytest.raises(CacheError, match=r"cannot be written \(.*No space left on device: .*norm/c/1/2.*it goes on"):
        push(path, remote, "unknown", "unknown")
    there = tree(world / "shared")
    assert there
    assert there == {name: data for name, data in tree(path).items() if name in there}
    monkeypatch.setattr("cache.share.remote.shutil.copyfile", copy)
    push(path, remote, "unknown", "unknown")
    pull(remote, OUT)


def test_a_pushed_file_is_on_the_disk_before_the_manifest_names_the_cache(path, world, monkeypatch):
    synced, replace, sync = [], os.replace, common.files.sync
    missing = []

    def replacing(source, target):
        if Path(target) == world / "shared/zarr.json":
            wanted = [file for file in (world / "shared").rglob("*") if not file.name.startswith(".")]
            missing.extend(set(wanted) - set(synced))
        synced.append(Path(target))  # its bytes were synced under the temporary name
        assert Path(source) in synced
        replace(source, target)

    monkeypatch.setattr("common.files.sync", lambda path: (synced.append(Path(path)), sync(path)))
    monkeypatch.setattr(os, "replace", replacing)
    push(path, open_remote(f"file://{world}/shared"), "unknown", "unknown")
    assert world / "shared" in synced
    assert missing == []
