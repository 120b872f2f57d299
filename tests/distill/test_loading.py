"""A worker that dies, and a picture that does not decode, end a run with one line; the next start goes on."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from common.errors import DataError, UserError
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


def test_other_errors_keep_their_traceback(cached, monkeypatch):
    def broken(self, batch, at, steps):
        raise RuntimeError("ours")

    monkeypatch.setattr(Trainer, "step", broken)
    with pytest.raises(RuntimeError, match=r"^ours$"):
        run("broken")
