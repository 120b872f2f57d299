"""What a process takes of a build: no finished unit, and none whose end a network disk has yet to show."""

from pathlib import Path

import pytest

from cache.build import build
from cache.format import layout_of, read_manifest
from cache.units import OpenUnits
from common.faces.sources import open_source
from common.writers import at_work
from tests.tiny import TinyTeacher, experiment

CACHE = Path("caches/tiny")


@pytest.fixture
def begun(world):
    """The first four units are finished, and this process has seen nothing of it."""
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True, part=slice(4))
    layout, advanced = layout_of(read_manifest(CACHE)), []
    with at_work(CACHE, "a build", shared=True) as claims:
        claims.clear()
        yield OpenUnits(CACHE, layout, list(layout.units()), claims, advanced.append), list(layout.units()), advanced


def test_a_unit_that_was_finished_before_it_is_taken_is_not_computed_again(begun):
    units, every, advanced = begun
    assert list(units.free()) == every[4:]
    assert sum(advanced) == 32


def test_what_another_machine_says_it_finished_is_waited_for_and_then_computed(begun, monkeypatch):
    units, every, _ = begun
    monkeypatch.setattr(units.claims, "done_elsewhere", lambda name: name == every[6].name)
    assert list(units.free()) == every[4:6] + every[7:]
    monkeypatch.setattr("cache.units.open_units.VISIBLE_SECONDS", 0.0)
    assert every[6] in list(units.free())
