"""Batches made ahead: a worker that dies, and a picture that does not decode, end a run with one line."""

import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import FaceSource, open_source
from common.faces.views import Views
from distill.batches.face_batches import FaceBatches
from distill.step import Trainer
from distill.train import train
from tests.distill.small_runs import CPU, curves, equal, final_state, run
from tests.tiny import experiment, jpegs, portrait

OPTIONS = {"epochs": 2, "workers": 1, "checkpoint_minutes": 0, "log_every": 1}


def test_a_killed_worker_is_one_line_and_the_run_goes_on(cached, monkeypatch):
    whole = run("whole", train=OPTIONS)
    step = Trainer.step

    def killing(self, batch, at, steps):
        if at == 5:
            (worker,) = multiprocessing.active_children()
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
        return step(self, batch, at, steps)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", killing)
        with pytest.raises(
            UserError, match=r"^a worker .*: process \d+ was ended by signal 9 \(Killed\).*again: it goes on"
        ) as error:
            run("killed", train=OPTIONS)
    assert "\n" not in str(error.value)
    assert final_state("killed")["step"] == 6
    assert equal(run("killed", train=OPTIONS), whole)
    assert curves("killed") == curves("whole")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_worker_that_ends_while_it_is_waited_for_is_one_line(cached, monkeypatch, signal_number):
    rgb = FaceSource.rgb

    def ending(self, sample, out=None):
        if sample == 11 and multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal_number)
            time.sleep(10)
        return rgb(self, sample, out)

    monkeypatch.setattr(FaceSource, "rgb", ending)
    with pytest.raises(UserError, match=r"^a worker that loads faces is gone: .* by signal .*: it goes on") as error:
        run("ended", train=OPTIONS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "said", "by_the_worker"),
    [
        ("data/faces/train.rec", r"^data/faces/train\.rec: byte \d+ cannot be read \(shrunk from", r"^$"),
        (
            "caches/tiny/embedding/c/0/0/0",
            "a worker .* is gone: process .* ended with exit status 2, for the reason in its own lines above",
            r"^Error: .*embedding/c/0/0/0: cut to 0 of \d+ bytes while it was read: .*repair`\n$",
        ),
    ],
)
def test_a_file_that_shrinks_under_a_worker_is_named(cached, monkeypatch, capfd, name, said, by_the_worker):
    assert Path(name).is_file()
    fill = FaceBatches.fill

    def shrinking(self, batch, wanted):
        fill(self, batch, wanted)  # everything is mapped
        if not shrunk.is_set() and multiprocessing.parent_process() is not None:
            shrunk.set()
            os.truncate(name, 0)

    shrunk = multiprocessing.Event()
    monkeypatch.setattr(FaceBatches, "fill", shrinking)
    with pytest.raises(UserError, match=said):
        run("shrunk", train=OPTIONS)
    assert re.search(by_the_worker, capfd.readouterr().err)


def test_an_error_that_is_no_users_keeps_its_traceback_in_the_worker(cached, monkeypatch, capfd):
    def broken(self, batch, wanted):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(FaceBatches, "fill", broken)
    with pytest.raises(UserError, match="ended with exit status 1, for the reason in its own lines above"):
        run("broken", train=OPTIONS)
    assert capfd.readouterr().err.rstrip().endswith("ZeroDivisionError: ours")


@pytest.mark.parametrize("workers", [0, 1])
def test_faces_of_mixed_size_are_one_line(world, workers):
    people = jpegs(7, 5)
    people[3][1] = encode_jpeg(portrait(3, 1)[:96])
    write_recordio_dataset(Path("data/faces"), people)
    alone = {"margin": "cosface", "centers": "learned"}
    with pytest.raises(DataError, match=r"record \d+: \d+x112 pixels, where .*record \d+ has \d+x112: align all faces"):
        run("mixed", teacher=None, head=alone, train={"workers": workers, "epochs": 1})


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_does_not_decode_is_named(cached, monkeypatch, workers):
    rgb = FaceSource.rgb

    def broken(self, sample, out=None):
        if sample == 11:
            raise DataError("data/faces/train.rec: record 12: the picture cannot be decoded")
        return rgb(self, sample, out)

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
