"""A disk without room is told with the path, what is free and what to do; the same command then goes on."""

import multiprocessing
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.format.shards import write_shard
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree

LIMITS = {200: "caches/tiny/embedding/c/0/0/0", 400: "caches/tiny/ledger", 2000: "caches/tiny"}


def build_with_limits(folder: str, answer: multiprocessing.Queue) -> None:
    """Files of this process may grow to a limit only: a write beyond fails with EFBIG, as one on a full disk does."""
    os.chdir(folder)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    for limit in LIMITS:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
        except CacheError as error:
            answer.put(str(error))
        else:
            answer.put("it was built")


def test_what_cannot_be_written_is_named_and_the_same_build_goes_on(world):
    """Limits that a shard, a unit's ledger entry, and the sealed ledger do not keep to."""
    whole = tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    shutil.rmtree("caches")
    with pytest.raises(KeyboardInterrupt):  # so that the store is there, whose metadata are larger than the limits
        build(experiment(), open_source("data/faces"), TinyTeacher(fail_after=0), threads=1, quiet=True)
    context = multiprocessing.get_context("fork")  # what it needs is imported already
    answer = context.Queue()
    process = context.Process(target=build_with_limits, args=(str(world), answer))
    process.start()
    for path in LIMITS.values():
        said = answer.get(timeout=120)
        assert said.startswith(f"{path}: cannot be written (File too large)")
        assert "bytes are free on that disk: make room and run the same command again" in said
    process.join()
    assert tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)) == whole


def test_a_shard_that_could_not_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cache.format.shards._crc", full)
    with pytest.raises(CacheError, match=rf"{tmp_path}/c/0: cannot be written \(No space left on device\)"):
        write_shard(tmp_path / "c" / "0", np.zeros(3, np.float32), 0, 4, 2)
    assert list(Path(tmp_path, "c").iterdir()) == []
    monkeypatch.setattr(
        "cache.format.shards._crc", lambda data: (_ for _ in ()).throw(OSError(5, "Input/output error"))
    )
    with pytest.raises(OSError, match="Input/output"):
        write_shard(tmp_path / "c" / "0", np.zeros(3, np.float32), 0, 4, 2)
