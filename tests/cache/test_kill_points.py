"""A kill before any call that changes a folder costs nothing: the same command ends in the undisturbed bytes."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cache.append import append
from cache.build import build
from cache.reader import TeacherCache
from cache.repair import repair
from cache.subset import cut_out
from cache.verify import check_store
from common.errors import CacheError
from common.faces.sources import open_source
from tests.cache.killing import killed_before
from tests.tiny import TinyTeacher, experiment, tree

CACHE, SMALL = Path("caches/tiny"), Path("caches/small")
SHARDS = {"shard_rows": 20, "chunk_rows": 4, "batch_size": 8}


def every(step: int) -> pytest.MarkDecorator:
    """Kill before some of the calls, and in the longer proof before each. An odd step, where odd calls are special."""
    return pytest.mark.parametrize("step", [step, pytest.param(1, marks=pytest.mark.slow)])


def run(command: Callable, views: int = 2) -> Path:
    config = experiment(cache=SHARDS, views={"policy": "flip+adaface", "count": views})
    return command(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def subset() -> None:
    cut_out(TeacherCache(CACHE), open_source("data/faces"), np.array([1, 4, 5]), SMALL)


def stop_before_the_seal() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cache.build.seal", lambda *_: None)
        run(build)


def damage() -> None:
    """A unit of each view, both kinds of shared arrays, and metadata."""
    for name in ("embedding/c/0/1/0", "norm/c/1/0", "label/c/0", "center/c/0/0"):
        file = CACHE / name
        file.write_bytes(file.read_bytes()[:-1])
    (CACHE / "center/zarr.json").write_text((CACHE / "center/zarr.json").read_text().replace("little", "big"))
    (CACHE / "norm/zarr.json").unlink()


def told_to_repair() -> bool:
    """Whether a build refuses and says what to do, or else ends well."""
    try:
        run(build)
    except CacheError as error:
        return "python -m cache repair" in str(error)
    return False


def nothing_wrong_is_believed(labels: np.ndarray, centers: np.ndarray) -> None:
    """After a kill a cache is refused, or what it says is right."""
    try:
        cache = TeacherCache(CACHE)
        assert np.array_equal(cache.labels, labels)
        assert np.array_equal(cache.centers, centers)
    except CacheError:
        pass


def every_kill(
    step: int, begin: Callable[[], object], command: Callable[[], object], check: Callable[[int], object]
) -> int:
    """Kill a command before every `step`-th of its calls, always from the same beginning; returns their number."""
    begin()
    shutil.copytree("caches", "beginning")
    for call in itertools.count(0, step):
        shutil.rmtree("caches")
        shutil.copytree("beginning", "caches")
        if not killed_before(call, command):
            return call
        check(call)
    raise AssertionError


@every(3)
def test_repair(world, step):
    whole = tree(run(build))
    labels, centers = TeacherCache(CACHE).labels, TeacherCache(CACHE).centers

    def check(call: int) -> None:
        nothing_wrong_is_believed(labels, centers)
        if call % 2:  # a build finishes what it began, or says that repair does
            assert told_to_repair() or not check_store(CACHE)
        if check_store(CACHE):
            run(repair)
        assert tree(CACHE) == whole, call

    assert every_kill(step, damage, lambda: run(repair), check) > 20


@every(2)
def test_seal(world, step):
    whole = tree(run(build))
    shutil.rmtree("caches")

    def check(call: int) -> None:
        assert tree(run(build)) == whole, call

    assert every_kill(step, stop_before_the_seal, lambda: run(build), check) > 12


@every(6)
def test_creation(world, step):
    whole = tree(run(build))
    shutil.rmtree("caches")

    def check(call: int) -> None:
        assert tree(run(build)) == whole, call
        assert {p.name for p in Path("caches").iterdir()} <= {".tiny.claims", "tiny"}

    assert every_kill(step, lambda: Path("caches").mkdir(), lambda: run(build), check) > 40


@every(3)
def test_append(world, step):
    whole = tree(run(build, views=3))
    shutil.rmtree("caches")

    def check(call: int) -> None:
        assert tree(run(append, views=3)) == whole, call

    assert every_kill(step, lambda: run(build), lambda: run(append, views=3), check) > 20


@every(6)
def test_subset(world, step):
    run(build)
    subset()
    whole = tree(SMALL)
    shutil.rmtree(SMALL)

    def check(call: int) -> None:
        assert not SMALL.exists() or tree(SMALL) == whole
        if not SMALL.exists():
            subset()
        assert tree(SMALL) == whole, call
        assert {p.name for p in Path("caches").iterdir()} <= {".small.claims", "small", "tiny"}

    assert every_kill(step, lambda: None, subset, check) > 30
