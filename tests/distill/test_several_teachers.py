"""Students of several caches learn in the mean of their spaces, resumable like any other."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cache.build import build
from cache.reader import TeacherCache
from cache.several import TeacherEnsemble
from common.faces.sources import open_source
from common.faces.views import Views
from distill.batches.face_batches import FaceBatches
from distill.plan import plan_training
from distill.run import checkpoints
from distill.step import Trainer
from distill.train import train
from tests.distill.small_runs import curves, equal
from tests.tiny import TinyTeacher, experiment


@pytest.fixture
def two(world) -> list[TeacherCache]:
    paths = []
    for seed, name in enumerate(("a", "b")):
        config = experiment(cache={"path": f"caches/{name}", "dtype": "float32"})
        paths.append(build(config, open_source("data/faces"), TinyTeacher(seed), threads=1, quiet=True))
    return [TeacherCache(path) for path in paths]


def run(name: str, also: list[str], path: str = "caches/a", **sections) -> dict:
    """The final state of a run."""
    config = experiment(name=name, cache={"path": path, "also": also}, teacher="tiny.onnx", **sections)
    train(config, Path("data"), torch.device("cpu"), 1)
    return checkpoints.latest(Path(f"runs/{name}/checkpoints"))


GEOMETRY = {"geometry": "cached", "start": "cache"}


def test_one_cache_twice_teaches_what_it_teaches_once(two):
    once = run("once", [], head=GEOMETRY)
    twice = run("twice", ["caches/a"], head=GEOMETRY)
    assert equal(twice["student"], once["student"])
    assert equal(twice["head"], once["head"])
    assert curves("twice") == curves("once")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_of_two_teachers_ends_in_the_weights_of_an_undisturbed_one(two, monkeypatch, workers):
    sections = {"train": {"workers": workers}, "head": {"start": "cache"}}
    whole = run("whole", ["caches/b"], **sections)
    step, calls = Trainer.step, []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stopping)
        with pytest.raises(KeyboardInterrupt):
            run("stopped", ["caches/b"], **sections)
    stopped = run("stopped", ["caches/b"], **sections)
    assert equal(stopped["student"], whole["student"])
    assert curves("stopped") == curves("whole")


def test_a_batch_carries_the_word_of_the_ensemble(two):
    samples, views = np.array([4, 30, 11]), np.array([1, 0, 1])
    batches = FaceBatches(open_source("data/faces"), Views("flip"), TeacherEnsemble(two), True, (112, 112))
    batch = batches[samples, views, 0]
    expected = sum(cache.gather(samples, views) for cache in two)
    np.testing.assert_allclose(batch.f_t, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    confidence = sum(cache.confidence(samples, views) for cache in two) / 2
    np.testing.assert_allclose(batch.confidence, confidence, atol=1e-6)


def test_frozen_centres_are_the_unit_mean_of_the_caches(two):
    state = run("frozen", ["caches/b"], head={"margin": "cosface", "centers": "frozen"})
    expected = two[0].centers + two[1].centers
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(state["head"]["centers.weight"], expected, atol=1e-6)


def test_the_plan_says_how_far_the_teachers_agree(two):
    config = experiment(cache={"path": "caches/a", "also": ["caches/b"]})
    text = plan_training(config, Path("data")).text()
    agreement = TeacherEnsemble(two).agreement()[0]
    assert f"mean cosine of class centres with the first: {agreement:.3f} (0 by chance)" in text
