"""Batches in shared memory: the bytes of batches made here, places used again, and no process left behind."""

import multiprocessing
import os
import signal
import threading
import time

import cv2
import numpy as np
import pytest
import torch

from cache.reader import TeacherCache
from common.faces.sources import open_source
from common.faces.views import Views
from distill.batches.epochs import EpochOrder
from distill.batches.face_batches import FaceBatches
from distill.batches.loading import BATCHES_A_WORKER, BATCHES_IN_USE, BatchLoader
from distill.batches.ring import pinned, ring
from tests.distill.small_runs import CPU
from tests.tiny import experiment


def maker_and_order(split: bool = False) -> tuple[FaceBatches, EpochOrder]:
    """12 steps, of 8 samples or of 16 whose second half is this rank's."""
    config = experiment(head={"split_classes": split}, train={"epochs": 6 if split else 3})
    order = EpochOrder(config, np.arange(35), 1 if split else 0, 2 if split else 1)
    source, cache = open_source("data/faces"), TeacherCache("caches/tiny")
    return FaceBatches(source, Views("flip"), cache, True, (112, 96), "all", order.rows_of_rank), order


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_of_workers_are_those_made_here_whatever_the_step_they_begin_with(cached, workers, split):
    faces, order = maker_and_order(split)
    for step in (0, 5):
        with BatchLoader(faces, order, workers, CPU) as loader:
            made = [[tensor.clone() for tensor in batch] for batch in loader.from_step(step)]
        assert len(made) == 12 - step
        for tensors, wanted in zip(made, order.from_step(step), strict=True):
            assert all(torch.equal(*pair) for pair in zip(tensors, faces[wanted], strict=True))


def test_places_are_used_again_but_not_before_the_next_batch_is_asked_for(cached):
    faces, order = maker_and_order()
    with BatchLoader(faces, order, 1, CPU) as loader:
        places = set()
        for batch, wanted in zip(loader.from_step(0), order.from_step(0), strict=True):
            places.add(batch.faces.data_ptr())
            time.sleep(0.02)  # the worker has gone on as far as it may
            assert torch.equal(batch.faces, faces[wanted].faces)
    assert len(places) <= BATCHES_A_WORKER + BATCHES_IN_USE


def test_a_training_that_has_used_opencv_in_several_threads_gets_its_batches(cached):
    faces, order = maker_and_order()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.uint8), (31, 31), 5)  # starts them
        with BatchLoader(faces, order, 1, CPU) as loader:
            steps: list[int] = []
            waiting = threading.Thread(target=lambda: steps.extend(len(batch.faces) for batch in loader.from_step(0)))
            waiting.start()
            waiting.join(30)
            assert len(steps) == 12, "a forked worker waits for threads that it does not have"
            assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_no_worker_outlives_its_loader(cached, error):
    faces, order = maker_and_order()
    before = set(multiprocessing.active_children())
    workers: list[multiprocessing.process.BaseProcess] = []

    def interrupted() -> None:
        with BatchLoader(faces, order, 2, CPU) as loader:
            next(loader.from_step(0))
            workers.extend(set(multiprocessing.active_children()) - before)
            raise error

    with pytest.raises(error):
        interrupted()
    assert len(workers) == 2
    assert not set(workers) & set(multiprocessing.active_children())


def test_workers_leave_when_the_training_is_killed_and_are_deaf_to_ctrl_c(cached):
    def training() -> None:
        with BatchLoader(*maker_and_order(), workers=2, device=CPU) as loader:
            next(loader.from_step(0))
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGINT)
            time.sleep(0.1)
            assert all(worker.is_alive() for worker in multiprocessing.active_children())
            numbers.send([worker.pid for worker in multiprocessing.active_children()])
            time.sleep(60)

    received, numbers = multiprocessing.get_context("fork").Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=training)
    process.start()
    pids = received.recv()
    process.kill()
    process.join()
    until = time.monotonic() + 10
    while any(map(running, pids)) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(pids) == 2
    assert not any(map(running, pids))


def running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_for_a_gpu_all_places_are_pinned_once_and_let_go_again(cached, monkeypatch):
    """What only a card can do is replaced; that transfers overlap is for a card to show."""
    calls: list[tuple[str, int, int]] = []

    class Runtime:
        def cudaHostRegister(self, address, size, flags):
            calls.append(("pin", address, size))
            return 0 if len(calls) < fails_at else 2

        def cudaHostUnregister(self, address):
            calls.append(("unpin", address, 0))

    def check(code):
        if code:
            raise RuntimeError("out of memory")

    fails_at = 1000
    monkeypatch.setattr(torch.cuda, "cudart", Runtime)
    monkeypatch.setattr(torch.cuda, "check_error", check)
    slots = ring(maker_and_order()[0], 8, 2)
    tensors = [(tensor.data_ptr(), tensor.nbytes) for slot in slots for tensor in slot.batch]
    with pinned(slots, torch.device("cuda")):
        assert calls == [("pin", *tensor) for tensor in tensors]
    assert calls[len(tensors) :] == [("unpin", address, 0) for address, _ in tensors]
    calls.clear()
    fails_at = 3
    with pytest.raises(RuntimeError, match="out of memory"), pinned(slots, torch.device("cuda")):
        pass
    assert [(what, address) for what, address, _ in calls[3:]] == [("unpin", address) for address, _ in tensors[:2]]
