"""A teacher that evidently does not know faces is refused before a cache is begun."""

from pathlib import Path

import numpy as np
import pytest

import cache.teachers
from cache.build import build
from cache.teachers import describe_teacher, open_teacher
from common.errors import ConfigError, DataError, ModelError
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from common.models.model_check import Separation, TeacherReport, check_teacher, labelled_sample
from tests.tiny import TinyTeacher, experiment, jpegs


class Clueless(TinyTeacher):
    """Answers that have nothing to do with who is seen."""

    def embed(self, faces):
        return np.random.default_rng(faces.reshape(-1)[:8]).standard_normal((len(faces), 16)).astype(np.float32)


class WrongWayRound(TinyTeacher):
    """Tells people apart only with red and blue exchanged."""

    def embed(self, faces):
        return Clueless.embed(self, faces)

    def embed_swapped(self, faces):
        return TinyTeacher.embed(self, faces)


def open_with(monkeypatch, teacher, **sections):
    monkeypatch.setattr(cache.teachers, "open_model", lambda *args: teacher)
    return open_teacher(experiment(**sections), Path("data"), open_source("data/faces"), "cpu", 1)


def test_a_teacher_that_tells_people_apart_is_taken(world, monkeypatch):
    teacher = TinyTeacher()
    assert open_with(monkeypatch, teacher) is teacher


def test_a_clueless_teacher_is_refused(world, monkeypatch):
    with pytest.raises(ModelError, match="does not tell people apart"):
        open_with(monkeypatch, Clueless())


def test_a_teacher_with_its_channels_exchanged_is_refused_with_what_to_set(world, monkeypatch):
    with pytest.raises(ModelError, match="set channel_order = 'bgr'"):
        open_with(monkeypatch, WrongWayRound())


def test_the_check_can_be_left_out_and_is_not_repeated_for_a_cache_that_is_begun(world, monkeypatch):
    clueless = Clueless()
    assert open_with(monkeypatch, clueless, cache={"check_teacher": False}) is clueless
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    assert open_with(monkeypatch, clueless) is clueless


def test_faces_without_two_pictures_of_anybody_say_how_to_go_on(world, monkeypatch):
    write_recordio_dataset(Path("data/faces"), jpegs(5, 1))
    with pytest.raises(DataError, match=r"cache\.check_teacher = false"):
        open_with(monkeypatch, TinyTeacher())


def test_an_experiment_without_teacher_has_nothing_to_cache(world):
    config = experiment(teacher=None, head={"margin": "arcface", "centers": "learned"})
    with pytest.raises(ConfigError, match="nothing to cache"):
        open_teacher(config, Path("data"), open_source("data/faces"), "cpu", 1)


def test_what_will_be_used_is_said_with_both_channel_orders(world):
    teacher = TinyTeacher()
    text = describe_teacher(teacher, check_teacher(teacher, *labelled_sample(open_source("data/faces"))))
    for part in ("tiny.onnx", "channel_order", "as given: cosine", "red and blue exchanged: cosine"):
        assert part in text


@pytest.mark.parametrize(("strangers", "warned"), [(0.125, False), (0.334, True), (0.426, True)])
def test_strangers_as_alike_as_on_photos_that_are_not_aligned_are_warned_of(world, strangers, warned):
    seen = Separation(0.65, strangers, 0.98, 3.1)  # SFace: aligned LFW at worst; raw photos cropped, and resized
    text = describe_teacher(TinyTeacher(), TeacherReport(48, 72, 1056, "rgb", seen, seen))
    warning = f"WARNING: strangers' mean cosine is {strangers:.2f}, above 0.25: are the faces aligned (docs/data.md)?"
    assert (warning in text) == warned
    assert ("WARNING" in text) == warned
