"""Processes that share a build through the disk alone make the bytes that one makes, whoever comes, goes or dies."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.format import finished_units, layout_of, read_manifest
from common.errors import ModelError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.writers.claims import Claims, at_work
from tests.tiny import TinyTeacher, experiment, jpegs, tree

SKIP = {"on_bad_image": "skip"}
CACHE = Path("caches/tiny")
FORK = multiprocessing.get_context("fork")  # nothing here computes with torch, whose threads do not survive a fork


class Teacher(TinyTeacher):
    """Tells of every batch; then it may sleep, fail, or be killed."""

    def __init__(self, told: Callable[[int], object]) -> None:
        super().__init__()
        self.told = told

    def embed(self, faces: np.ndarray) -> np.ndarray:
        self.told(self.calls)
        return super().embed(faces)


def build_here(teacher: TinyTeacher | None = None, **options) -> Path:
    return build(
        experiment(cache=SKIP), open_source("data/faces"), teacher or TinyTeacher(), threads=1, quiet=True, **options
    )


def start(told: Callable[[int], object] = lambda call: time.sleep(0.01), **options) -> BaseProcess:
    process = FORK.Process(target=build_here, args=(Teacher(told),), kwargs=options)
    process.start()
    return process


def die_at(batch: int) -> Callable[[int], object]:
    return lambda call: os.kill(os.getpid(), signal.SIGKILL) if call == batch else time.sleep(0.01)


def end(*processes: BaseProcess) -> list[int | None]:
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


@pytest.fixture
def whole(world) -> dict[str, str]:
    """The bytes that one process makes; the cache is gone again."""
    people = jpegs(7, 5)
    people[0][2] = people[3][3] = people[3][4] = b"no picture"
    write_recordio_dataset(world / "data" / "faces", people)
    made = tree(build_here())
    shutil.rmtree("caches")
    return made


@pytest.mark.parametrize("number", [2, 3])
def test_any_number_of_processes_builds_the_same_bytes_and_leaves_nothing_else(whole, number):
    assert end(*(start() for _ in range(number))) == [0] * number
    assert tree(CACHE) == whole
    assert [path.name for path in Path("caches").iterdir()] == ["tiny"]


def test_others_finish_what_a_killed_process_had_begun_at_once(whole):
    began = time.monotonic()
    killed = start(die_at(1))
    while not CACHE.exists():
        time.sleep(0.001)
    other = start()
    assert end(killed, other) == [-signal.SIGKILL, 0]
    assert tree(CACHE) == whole
    assert time.monotonic() - began < 30, "a process of this machine that is dead needs no waiting for"


def test_a_process_that_joins_later_shares_the_work(whole):
    first = start(lambda call: time.sleep(0.05))
    while not (CACHE / "ledger").exists() or len(list((CACHE / "ledger").glob("view*"))) < 2:
        time.sleep(0.01)
    late = TinyTeacher()
    build_here(late)
    assert end(first) == [0]
    assert 0 < late.calls < 24
    assert tree(CACHE) == whole


def test_a_process_that_fails_stops_no_other(whole):
    def fail(call: int) -> None:
        raise ModelError("out of order")

    failed, other = start(fail), start()
    assert end(failed, other) == [1, 0]
    assert tree(CACHE) == whole


def test_parts_are_computed_alone_and_the_last_one_seals(whole):
    build_here(part=slice(6, None))
    manifest = read_manifest(CACHE)
    assert manifest["sealed"] is None
    names = {unit.name for unit in finished_units(CACHE, layout_of(manifest))}
    assert names == {f"view1-shard0000{shard}" for shard in (1, 2, 3, 4)}
    build_here(part=slice(0, 6))
    assert tree(CACHE) == whole


def test_a_process_that_wakes_after_its_unit_was_taken_harms_nothing(whole):
    """Another takes over its claim, builds and seals all, while it sleeps in its teacher."""

    def sleep(call: int) -> None:
        if call == 1:
            pretend_dead()
            build_here()
            assert tree(CACHE) == whole

    build_here(Teacher(sleep))
    assert tree(CACHE) == whole
    assert [path.name for path in Path("caches").iterdir()] == ["tiny"]


@pytest.mark.parametrize("look", range(6))
def test_so_does_one_that_sleeps_between_its_look_and_its_write(whole, monkeypatch, look):
    """The worst moment: it has just seen that the unit is its own."""
    looks, holds = iter(range(100)), Claims.holds

    def slow(self: Claims, name: str) -> bool:
        mine = holds(self, name)
        if next(looks) == look:
            monkeypatch.setattr(Claims, "holds", holds)
            pretend_dead()
            build_here()
        return mine

    monkeypatch.setattr(Claims, "holds", slow)
    build_here()
    assert tree(CACHE) == whole


def pretend_dead() -> None:
    """What others see of a process that shows no sign of life for long."""
    for record in Path("caches/.tiny.claims").iterdir():
        if not record.is_symlink():
            record.write_text(json.dumps({**json.loads(record.read_text()), "ended": True}))


def test_two_that_want_to_seal_seal_once(whole, monkeypatch):
    sealed: list[int] = []
    from cache.build import seal

    def sealing(path: Path, threads: int) -> None:
        sealed.append(1)
        second = start()
        time.sleep(0.5)
        assert second.is_alive(), "it waits for the first"
        seal(path, threads)
        waiting.append(second)

    waiting: list[BaseProcess] = []
    monkeypatch.setattr("cache.build.seal", sealing)
    build_here()
    assert end(*waiting) == [0]
    assert sealed == [1]
    assert tree(CACHE) == whole


def test_a_build_waits_for_nobody_who_is_only_looking(whole):
    with at_work(CACHE, "a build", shared=True):
        build_here()
    assert tree(CACHE) == whole
