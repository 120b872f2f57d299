"""Threads, versions, device and batch size: recorded with every unit, shown, refused only where that is asked for."""

import importlib
import importlib.metadata
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cache import runtimes
from cache.append import append
from cache.build import build
from cache.format.ledger import read_runtimes
from cache.info import describe_cache
from cache.reader import TeacherCache
from cache.repair import drop_damaged, repair
from cache.subset import cut_out
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree

UNITS = 10


def numpy_9(name: str) -> str:
    return "9.9" if name == "numpy" else "1.0"


def run(threads: int = 1, fail_after: int | None = None, device: str = "cpu", **cache) -> Path:
    teacher = TinyTeacher(fail_after=fail_after)
    teacher.runtime = {**teacher.runtime, "device": device}
    return build(experiment(cache=cache), open_source("data/faces"), teacher, threads, quiet=True)


def half_built() -> None:
    with pytest.raises(KeyboardInterrupt):
        run(fail_after=8)


CHANGES = pytest.mark.parametrize(
    ("change", "field", "was", "now"),
    [
        ({"threads": 2}, "runtime.threads", 1, 2),
        ({"batch_size": 5}, "runtime.batch_size", 3, 5),
        ({"device": "cuda"}, "runtime.teacher.device", "cpu", "cuda"),
        ({}, "runtime.libraries.numpy", "1.0", "9.9"),
    ],
    ids=["threads", "batch_size", "device", "numpy"],
)


@pytest.fixture
def upgrade(world, monkeypatch):
    """Call to install another numpy."""
    monkeypatch.setattr(runtimes, "library_version", lambda name: "1.0")
    return lambda: monkeypatch.setattr(runtimes, "library_version", numpy_9)


@CHANGES
def test_a_build_goes_on_under_another_runtime_with_both_on_record(upgrade, change, field, was, now):
    whole = tree(run())
    shutil.rmtree("caches")
    half_built()
    begun = set(read_runtimes(Path("caches/tiny")))
    if not change:
        upgrade()
    path = run(**change)
    made = tree(path)
    assert made.keys() == whole.keys()
    assert {name for name in made if made[name] != whole[name]} == {"zarr.json", "ledger/zarr.json"}
    seen = {name: dict(runtimes._leaves(of[0]))[field] for name, of in read_runtimes(path).items()}
    assert len(seen) == UNITS
    assert begun
    assert seen == {name: was if name in begun else now for name in seen}
    told = " ".join(describe_cache(path).split()).split("computed ")
    for value, units in ((was, len(begun)), (now, UNITS - len(begun))):
        assert any(f"{units} unit{'s' * (units > 1)} with" in line and f"{field} {value}" in line for line in told)
    assert tree(run()) == made, "a sealed cache is left alone under any runtime"


@CHANGES
@pytest.mark.parametrize("sealed", [False, True])
def test_same_runtime_refuses_by_name_with_both_values(upgrade, sealed, change, field, was, now):
    run(same_runtime=True) if sealed else half_built()
    if not change:
        upgrade()
    before = tree(Path("caches/tiny"))
    told = rf"{field} is {was!r} in view0-shard00000 and {now!r} now.*same_runtime = false"
    with pytest.raises(CacheError, match=told):
        run(**change, same_runtime=True)
    assert tree(Path("caches/tiny")) == before


@pytest.mark.parametrize(("command", "views"), [(append, 3), (repair, 2)])
def test_a_command_that_same_runtime_refuses_leaves_the_cache_sealed(world, command, views):
    of_two, of_more = (
        experiment(cache={"same_runtime": True}, views={"policy": "flip+adaface", "count": count})
        for count in (2, views)
    )
    path = build(of_two, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    before = tree(path)
    with pytest.raises(CacheError, match=r"runtime\.threads is 1 in view0-shard00000 and 2 now"):
        command(of_more, open_source("data/faces"), TinyTeacher(), threads=2, quiet=True)
    assert tree(path) == before


def test_same_runtime_is_asked_again_before_the_seal(world, monkeypatch):
    """As when another rank of the same build has other libraries."""
    half_built()
    asked = iter([None, CacheError("begun with another runtime")])

    def refuse(path, mine):
        error = next(asked)
        if error:
            raise error

    monkeypatch.setattr("cache.build.refuse_other", refuse)
    with pytest.raises(CacheError, match="another runtime"):
        run(same_runtime=True)
    assert len(read_runtimes(Path("caches/tiny"))) == UNITS
    with pytest.raises(CacheError, match="not finished"):
        TeacherCache("caches/tiny")


def test_a_unit_that_is_computed_again_has_the_runtime_it_was_computed_again_with(world):
    path = run()
    shard = path / "embedding" / "c" / "1" / "2" / "0"
    shard.write_bytes(shard.read_bytes()[:-1])
    drop_damaged(path, open_source("data/faces"))
    assert "view1-shard00002" not in read_runtimes(path)
    run(threads=7)
    assert {name for name, of in read_runtimes(path).items() if of[0]["threads"] == 7} == {"view1-shard00002"}


def test_a_subset_keeps_what_its_rows_were_computed_with(world):
    half_built()
    parent = run(threads=2)
    recorded = read_runtimes(parent)
    subset = cut_out(TeacherCache(parent), open_source("data/faces"), np.array([1, 3]), Path("caches/some"))
    found = read_runtimes(Path("caches/some"))
    assert len(found) == 4
    for name, of in found.items():
        view, shard = int(name[4]), int(name[-5:])
        rows = subset.samples[8 * shard : 8 * shard + 8]
        wanted = {recorded[f"view{view}-shard{row // 8:05d}"][0]["threads"] for row in rows.tolist()}
        assert sorted(runtime["threads"] for runtime in of) == sorted(wanted)


def test_a_record_holds_what_may_change_the_last_bits(world):
    (record,) = {json.dumps(of, sort_keys=True) for of in read_runtimes(run()).values()}
    (runtime,) = json.loads(record)
    assert set(runtime) == {"machine", "threads", "batch_size", "libraries", "teacher"}
    # By module: where onnxruntime-gpu is installed there is no distribution called onnxruntime.
    assert runtime["libraries"] == {
        name: importlib.import_module(name).__version__ for name in ("numpy", "torch", "onnxruntime", "zarr")
    }


def test_a_build_needs_no_distribution_of_its_libraries_names(world, monkeypatch):
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert read_runtimes(run())
