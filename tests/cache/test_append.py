"""Added views leave the bytes of a cache that was built with all of them, and what was finished is left alone."""

import shutil
from pathlib import Path

import pytest

from cache.append import append
from cache.build import build
from cache.reader import TeacherCache
from cache.repair import repair
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree


def of_views(count: int, policy: str = "flip+adaface", **cache):
    return experiment(views={"policy": policy, "count": count}, cache=cache)


def build_views(count: int, teacher: TinyTeacher | None = None, **cache) -> Path:
    return build(of_views(count, **cache), open_source("data/faces"), teacher or TinyTeacher(), threads=1, quiet=True)


def append_views(count: int, teacher: TinyTeacher | None = None, **cache) -> Path:
    return append(of_views(count, **cache), open_source("data/faces"), teacher or TinyTeacher(), threads=1, quiet=True)


def finished_shards(path: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of change of every shard a unit wrote."""
    names = ("embedding", "scale", "norm", "pixels", "picture")
    files = (file for name in names for file in (path / name).rglob("*") if file.is_file() and file.name != "zarr.json")
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


@pytest.mark.parametrize("cache", [{}, {"dtype": "int8", "confidence": "leave_one_out"}], ids=["float16", "int8"])
def test_appended_views_leave_the_bytes_of_a_fresh_build_and_touch_no_finished_shard(world, cache):
    whole = tree(build_views(5, **cache))
    shutil.rmtree("caches")
    before = finished_shards(build_views(2, **cache))
    teacher = TinyTeacher()
    path = append_views(5, teacher, **cache)
    assert tree(path) == whole
    assert finished_shards(path).items() >= before.items()
    assert teacher.calls == 3 * 5 * 3 - 3 * 2, "batches of three new views only"
    assert TeacherCache(path).views == 5


def test_an_unfinished_cache_grows_too(world):
    whole = tree(build_views(3))
    shutil.rmtree("caches")
    with pytest.raises(KeyboardInterrupt):
        build_views(2, TinyTeacher(fail_after=8))
    assert tree(append_views(3)) == whole


def test_a_build_goes_on_with_what_append_began(world):
    whole = tree(build_views(3))
    shutil.rmtree("caches")
    build_views(2)
    with pytest.raises(KeyboardInterrupt):
        append_views(3, TinyTeacher(fail_after=4))
    assert tree(build_views(3)) == whole


def test_a_build_with_more_views_is_refused_and_says_how_to_add_them(world):
    build_views(2)
    with pytest.raises(CacheError, match=r"views\.count is 2 in the cache and 3 now.*python -m cache append"):
        build_views(3)


def test_fewer_views_or_any_other_difference_are_refused(world):
    build_views(3)
    with pytest.raises(CacheError, match=r"has 3 views, views\.count is 2"):
        append_views(2)
    with pytest.raises(CacheError, match=r"teacher\.weights_sha256 is .* now") as refusal:
        append_views(4, TinyTeacher(seed=1))
    assert "cache append" not in str(refusal.value)
    with pytest.raises(CacheError, match="no teacher cache there"):
        append_views(4, path="caches/nowhere")


def other_bytes(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("damage", [Path.unlink, other_bytes], ids=["deleted", "other bytes"])
@pytest.mark.parametrize("name", ["embedding/c/1/4/0", "label/c/0", "center/c/0/0", "ledger/zarr.json"])
def test_a_cache_that_could_not_be_sealed_again_stays_as_it_is(world, name, damage):
    path = build_views(2)
    damage(path / name)
    before, teacher = tree(path), TinyTeacher()
    with pytest.raises(CacheError, match=name):
        append_views(3, teacher)
    assert tree(path) == before
    assert teacher.calls == 0


def test_a_damaged_cache_grows_when_it_is_mended_as_the_refusal_says(world):
    whole = tree(build_views(3))
    shutil.rmtree("caches")
    other_bytes(build_views(2) / "embedding/c/0/0/0")
    with pytest.raises(CacheError, match=r"cache repair`, with views\.count = 2, first"):
        append_views(3)
    repair(of_views(2), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    assert tree(append_views(3)) == whole
