"""`train.deterministic`: torch's switches during a run and only then, and no other numbers on a CPU."""

import os

import pytest
import torch

from distill.deterministic import deterministic_algorithms
from distill.step import Trainer
from tests.distill.small_runs import curves, equal, run


def switches() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


def test_a_run_has_deterministic_algorithms_from_first_to_last_step_and_the_same_numbers(cached, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before, during = switches(), []
    step = Trainer.step

    def noting(self, batch, at, steps):
        during.append((*switches(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")))
        return step(self, batch, at, steps)

    plain = run("plain")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", noting)
        same = run("deterministic", train={"deterministic": True})
    assert during == [(True, True, False, ":4096:8")] * 8
    assert switches() == before
    assert equal(same, plain)
    assert curves("deterministic") == curves("plain")


def test_a_work_space_that_is_set_already_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic_algorithms(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_an_operation_without_a_deterministic_algorithm_is_refused():
    with deterministic_algorithms(True), pytest.raises(RuntimeError, match="deterministic"):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
