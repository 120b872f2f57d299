"""A worker that dies, and a picture that does not decode, end a run with one line; the next start goes on."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from common.sources import open_source
from common.views import Views
from distill.batches import FaceBatches
from distill.step import Trainer
from distill.train import train
from tests.distill.small_runs import CPU, curves, equal, final_state, run
from tests.tiny import experiment

OPTIONS = {"epochs": 2, "workers": 1, "checkpoint_minutes": 0, "log_every": 1}


def test_a_killed_worker_is_one_line_and_the_run_goes_on(cached, monkeypatch):
    whole = run("whole", train=OPTIONS)
    step = Trainer.step

    def killing(self, batch, at, steps):
        if at == 5:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)
            time.sleep(10)  # torch's own handler cuts this short
        return step(self, batch, at, steps)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", killing)
        with pytest.raises(UserError, match=r"worker .*killed.*Run the same command again: it goes on") as error:
            run("killed", train=OPTIONS)
    assert "\n" not in str(error.value)
    assert final_state("killed")["step"] == 5
    assert equal(run("killed", train=OPTIONS), whole)
    assert curves("killed") == curves("whole")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_does_not_decode_is_named(cached, monkeypatch, workers):
    from common.sources import FaceSource

    rgb = FaceSource.rgb

    def broken(self, sample):
        if sample == 11:
            raise DataError("data/faces/train.rec: record 12: the picture cannot be decoded")
        return rgb(self, sample)

    monkeypatch.setattr(FaceSource, "rgb", broken)
    with pytest.raises(DataError, match=r"^data/faces/train\.rec: record 12: the picture cannot be decoded$"):
        train(experiment(name="a", cache={"path": "caches/tiny"}, train={"workers": workers}), Path("data"), CPU, 1)


@pytest.mark.parametrize("label", [-1, 7])
def test_a_label_that_is_no_class_is_refused_before_the_head_sees_it(world, label):
    source = open_source("data/faces")
    source.labels = source.labels.copy()
    source.labels[12] = label
    faces = FaceBatches(source, Views.of(experiment().views), None, False, (112, 112))
    faces[np.array([11, 13]), np.array([0, 1]), 0]
    with pytest.raises(DataError, match=rf"^sample 12 has label {label}, but there are 7 classes, 0 to 6: [^\n]*$"):
        faces[np.array([11, 12]), np.array([0, 1]), 0]


def test_other_errors_keep_their_traceback(cached, monkeypatch):
    def broken(self, batch, at, steps):
        raise RuntimeError("ours")

    monkeypatch.setattr(Trainer, "step", broken)
    with pytest.raises(RuntimeError, match=r"^ours$"):
        run("broken")
