"""A cache of more shards than a process may map is refused before the teacher runs, with the shard size to choose."""

import re

import pytest

from cache.append import append
from cache.build import build
from cache.format import mapping
from cache.format.layout import Layout
from cache.format.mapping import map_limit, too_many_shards
from cache.plan import plan_build
from cache.reader import TeacherCache
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment


@pytest.fixture
def limit(tmp_path, monkeypatch):
    """Set what the system allows; nothing is left for other maps."""

    def set_to(maps: int) -> None:
        (tmp_path / "max_map_count").write_text(f"{maps}\n")
        monkeypatch.setattr(mapping, "_MAX_MAP_COUNT", tmp_path / "max_map_count")
        monkeypatch.setattr(mapping, "_OTHER_MAPS", 0)

    return set_to


def layout(views: int, dtype: str, shard_rows: int) -> Layout:
    return Layout(views, 5_822_653, 512, 85_742, dtype, shard_rows, 1024)


@pytest.mark.parametrize(("views", "dtype", "wanted"), [(3, "float16", None), (6, "float16", 2048), (3, "int8", 2048)])
def test_the_shard_size_to_choose_is_the_first_that_fits(limit, views, dtype, wanted):
    limit(65530)
    reason = too_many_shards(layout(views, dtype, 1024))
    if wanted is None:
        assert reason is None
        return
    assert int(re.search(r"set cache\.shard_rows = (\d+)", reason)[1]) == wanted
    assert too_many_shards(layout(views, dtype, wanted)) is None


def test_what_is_mapped_is_what_was_counted(limit, world):
    """On the files this process maps in truth, after a student and a replay have read everything they read."""
    cache = TeacherCache(build(experiment(cache={"dtype": "int8"}), open_source("data/faces"), TinyTeacher(), 1, True))
    for read in (cache.gather, cache.confidence, cache.pixels):
        read([0], 0)
    cache.picture([0])
    with open("/proc/self/maps") as maps:
        mapped = sum(str(cache.path.absolute()) in line for line in maps)
    assert mapped == mapping._maps_of_a_student([cache.layout])


def test_build_append_and_check_refuse_before_the_teacher_runs(limit, world):
    limit(40)  # ten shards of three arrays, and five of pictures; one view more does not fit
    teacher = TinyTeacher()
    more = experiment(views={"policy": "flip+adaface", "count": 3})
    with pytest.raises(CacheError, match=r"caches/tiny: .*50 files.*allows a process \(40.*cache\.shard_rows = 16"):
        build(more, open_source("data/faces"), teacher, threads=1, quiet=True)
    assert teacher.calls == 0
    (world / "data/tiny.onnx").write_bytes(b"")
    assert any("set cache.shard_rows = 16" in missing for missing in plan_build(more, world / "data").missing)
    two = experiment(views={"policy": "flip+adaface", "count": 2})
    build(two, open_source("data/faces"), teacher, threads=1, quiet=True)
    with pytest.raises(CacheError, match=r"set cache\.shard_rows = 16"):
        append(more, open_source("data/faces"), teacher, threads=1, quiet=True)
    assert TeacherCache("caches/tiny").views == 2


def test_a_system_without_such_a_bound_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(mapping, "_MAX_MAP_COUNT", tmp_path / "nowhere")
    assert map_limit() > 2**60
