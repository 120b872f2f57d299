"""What is typed to build a cache in parts, to ask how far it is, and to seal it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cache.__main__ import main
from cache.build import build
from cache.format import finished_units, layout_of, read_manifest
from cache.verify import check_store
from common.config.file import toml_of
from common.faces.sources import open_source
from common.writers import at_work
from tests.cache.test_build import tree
from tests.tiny import TinyTeacher, experiment

CACHE = Path("caches/tiny")
UNITS = 10


@pytest.fixture
def typed(world, monkeypatch) -> Callable[..., Result]:
    """`python -m cache COMMAND --config tiny.toml ...` with the tiny teacher."""
    (world / "tiny.toml").write_text(toml_of(experiment()))
    monkeypatch.setattr("cache.teachers.open_teacher", lambda *_: TinyTeacher())

    def run(command: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, [command, "--config", "tiny.toml", *arguments])

    return run


def build_typed(typed: Callable[..., Result], *arguments: str) -> Result:
    return typed("build", "--threads", "1", *arguments)


def finished() -> list[str]:
    return sorted(unit.name for unit in finished_units(CACHE, layout_of(read_manifest(CACHE))))


def test_a_build_in_parts_is_sealed_by_the_last_of_them(typed):
    whole = tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    CACHE.rename("caches/whole")
    assert build_typed(typed, "--units", "6:").exit_code == 0
    assert finished() == [f"view1-shard0000{shard}" for shard in (1, 2, 3, 4)]
    assert build_typed(typed, "--units", ":2").exit_code == 0
    assert len(finished()) == 6
    assert read_manifest(CACHE)["sealed"] is None
    assert build_typed(typed, "--units", "2:6").exit_code == 0
    assert tree(CACHE) == whole


@pytest.mark.parametrize("text", ["", "3", "3:3", "4:3", "-1:3", "0:-1", ":0", "a:b", "1:2:3", "1.5:2", "1;2"])
def test_what_is_no_range_of_units_is_refused_before_anything_is_opened(typed, text):
    told = build_typed(typed, "--units", text)
    assert (told.exit_code, told.output) == (
        2,
        f"Error: --units {text}: write A:B, two whole numbers with A below B, such as 0:40\n",
    )


@pytest.mark.parametrize("text", ["10:", "10:12", "900:901"])
def test_units_beyond_the_cache_are_refused_with_how_many_there_are(typed, text):
    told = build_typed(typed, "--units", text)
    assert (told.exit_code, told.output.splitlines()[-1]) == (
        2,
        f"Error: --units {text}: this cache has units 0 to {UNITS - 1}",
    )
    assert not CACHE.exists()


def test_status_counts_what_is_finished_and_changes_nothing(typed, world):
    build_typed(typed, "--units", "0:4")
    before = tree(world)
    told = typed("build", "--status")
    assert told.output.splitlines() == [
        f"{CACHE}: 4 of {UNITS} units finished, 32 of 70 rows",
        "  nobody is at work on it: `make cache-teacher` goes on",
    ]
    assert tree(world) == before
    build_typed(typed)
    assert typed("build", "--status").output == f"{CACHE}: all {UNITS} units finished, sealed\n"


def test_status_names_who_has_which_unit_their_pace_and_the_hours_left(typed):
    build_typed(typed, "--units", "0:4")
    with at_work(CACHE, "a build", shared=True) as first, at_work(CACHE, "a build", shared=True) as second:
        first.take("view0-shard00004")
        first.take("view1-shard00002")
        for claims, hours in ((first, 2), (second, 4)):
            claims.worker.since -= 3600 * hours
            claims.worker.done = 3600 * hours * 5
            claims._write()
        lines = typed("build", "--status").output.splitlines()
    assert lines[0] == f"{CACHE}: 4 of {UNITS} units finished, 32 of 70 rows"
    assert sorted(line.partition(" has ")[2] for line in lines[1:3]) == [
        "nothing: 5 faces/s, last seen 0 s ago",
        "view0-shard00004, view1-shard00002: 5 faces/s, last seen 0 s ago",
    ]
    assert {line.partition(" has ")[0] for line in lines[1:3]} == {f"  {first.worker}"}
    assert lines[3:] == ["  10 faces/s together, 0.00 hours left"]


def test_hours_left_are_the_rows_left_by_the_pace_of_all(typed):
    build_typed(typed, "--units", "0:4")
    with at_work(CACHE, "a build", shared=True) as claims:
        claims.worker.since -= 7200
        claims.worker.done = 38  # as many as are left
        claims._write()
        assert typed("build", "--status").output.splitlines()[-1].endswith("2.00 hours left")


def test_seal_finishes_what_a_killed_seal_left_and_a_sealed_cache_is_only_read(typed, monkeypatch):
    def interrupt(path: Path, threads: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cache.build.seal", interrupt)
        assert build_typed(typed).exit_code == 130
    assert (len(finished()), read_manifest(CACHE)["sealed"]) == (UNITS, None)
    told = typed("seal")
    assert told.exit_code == 0
    assert "  sealed     yes, " in told.output
    assert check_store(CACHE) == []
    assert [path.name for path in CACHE.parent.iterdir()] == [CACHE.name]
    monkeypatch.setattr("common.writers.at_work", None)
    assert typed("seal").output == told.output


def test_what_a_cache_was_computed_with_fits_a_terminal(typed):
    build_typed(typed)
    computed = typed("info").output.partition("  computed ")[1:]
    assert "runtime.threads 1" in computed[1]
    assert max(map(len, "".join(computed).splitlines())) <= 80


def test_seal_refuses_where_units_are_missing_or_nothing_is(typed):
    told = typed("seal")
    assert (told.exit_code, told.output) == (
        2,
        f"Error: {CACHE}: no teacher cache there: build it with `make cache-teacher`\n",
    )
    assert not CACHE.parent.exists()
    build_typed(typed, "--units", "0:7")
    told = typed("seal")
    assert (told.exit_code, told.output) == (
        2,
        f"Error: {CACHE}: 3 of {UNITS} units are not finished: run `make cache-teacher` again\n",
    )
    assert read_manifest(CACHE)["sealed"] is None
