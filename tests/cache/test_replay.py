"""Replay says what changed: the data, the decoder, the views, or the teacher."""

from pathlib import Path

import pytest

from cache.build import build
from cache.reader import TeacherCache
from cache.replay import replay
from common.faces.pixels import decode_rgb
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.faces.views import Views
from tests.tiny import TinyTeacher, experiment, jpegs


@pytest.fixture
def path(world) -> Path:
    return build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def test_replay_of_unchanged_inputs_agrees(path):
    found = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40)
    assert found.faults() == []
    assert len(found.cosine) == 40


def causes(path: Path, teacher: TinyTeacher | None = None, pairs: int = 40) -> list[str]:
    found = replay(TeacherCache(path), open_source("data/faces"), teacher or TinyTeacher(), pairs)
    return [fault.split(":")[0] for fault in found.faults()]


def test_replay_says_that_the_teacher_changed(path):
    found = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(seed=1), 40)
    assert len(found.teacher) == 40
    assert [fault.split(":")[0] for fault in found.faults()] == ["teacher changed"]


def test_replay_says_which_pictures_changed(path):
    people = jpegs(7, 5)
    people[2][1], people[2][2] = people[2][2], people[2][1]
    write_recordio_dataset(Path("data/faces"), people)
    found = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 200)
    assert {sample for sample, _ in found.data} == {11, 12}
    assert not found.decoder + found.views + found.teacher


def test_a_picture_that_no_longer_decodes_is_changed_data(path):
    people = jpegs(7, 5)
    people[2][1] = people[2][1][:300]
    write_recordio_dataset(Path("data/faces"), people)
    assert causes(path, pairs=200) == ["data changed"]


def test_replay_says_that_the_decoder_changed(path, monkeypatch):
    """Another decoder rounds otherwise and says another version; the encoded pictures are the same."""
    monkeypatch.setattr("common.faces.source.decode_rgb", lambda jpeg, name, *room: 255 - decode_rgb(jpeg, name))
    monkeypatch.setattr("cache.replay.decoder_version", lambda: "decoder 9")
    assert causes(path) == ["decoder changed"]


def test_another_decoder_with_the_same_pixels_is_no_fault(path, monkeypatch):
    monkeypatch.setattr("cache.replay.decoder_version", lambda: "decoder 9")
    assert causes(path) == []


def test_replay_says_that_the_views_changed(path, monkeypatch):
    render = Views.render
    monkeypatch.setattr(Views, "render", lambda self, rgb, sample, view, out=None: render(self, rgb, sample, 0))
    found = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(), 40)
    assert [fault.split(":")[0] for fault in found.faults()] == ["views changed"]
    assert {view for _, view in found.views} == {1}, "view 0 is as stored"


def test_each_of_several_causes_is_told_of_its_own_faces(path):
    people = jpegs(7, 5)
    people[0][0] = people[6][4]
    write_recordio_dataset(Path("data/faces"), people)
    found = replay(TeacherCache(path), open_source("data/faces"), TinyTeacher(seed=1), 300)
    assert {sample for sample, _ in found.data} == {0}
    assert {sample for sample, _ in found.teacher} == set(range(1, 35))
