"""What is written when numbers stop being finite, and what a run says of its cost."""

from pathlib import Path

import pytest
import torch

from common.errors import UserError
from distill.batches import TrainingBatch
from distill.run.resume import Progress
from distill.run.window import Window
from distill.step import Trainer
from distill.train import train
from tests.distill.small_runs import CPU, final_state, on_ranks, run
from tests.tiny import experiment

OPTIONS = {"epochs": 2, "checkpoint_minutes": 0, "log_every": 2}


@pytest.fixture
def poisoned(cached, monkeypatch) -> Path:
    """The world, whose steps give a gradient that is not a number in step 6 (counted from 1) on the last rank."""
    step = Trainer.step

    def poisoning(self, batch, at, steps):
        scalars = step(self, batch, at, steps)
        if at == 5 and (not torch.distributed.is_initialized() or torch.distributed.get_rank() == 1):
            scalars["gradient_norm"] = torch.tensor(float("nan"))
        return scalars

    monkeypatch.setattr(Trainer, "step", poisoning)
    return cached


def test_state_and_batch_are_kept_and_the_last_checkpoint_stays(poisoned):
    with pytest.raises(UserError, match=r"the gradient norm of step 6 is nan.*nan-step000000006\.pt.*Samples"):
        run("bad", train=OPTIONS)
    kept = torch.load("runs/bad/nan-step000000006.pt", weights_only=True)
    assert (kept["step"], kept["last_step"]) == (6, 6)
    assert len(kept["samples"]) == len(kept["views"]) == 8
    assert kept["state"].keys() >= {"student", "head", "optimiser"}
    assert final_state("bad")["step"] == 4


def test_weights_that_a_last_step_broke_are_not_saved(cached, monkeypatch):
    step = Trainer.step

    def breaking(self, batch, at, steps):
        scalars = step(self, batch, at, steps)
        if at == 3:
            next(self.student.parameters()).data[0] = float("nan")
        return scalars

    monkeypatch.setattr(Trainer, "step", breaking)
    with pytest.raises(UserError, match="the largest weight of step 4 is nan"):
        run("bad", train=OPTIONS)
    assert final_state("bad")["step"] == 2


def bad_on_rank(rank: int) -> None:
    with pytest.raises(UserError, match="the gradient norm of step 6 is nan"):
        run("bad", train={**OPTIONS, "batch_size": 4})
    Path(f"stopped{rank}").touch()


def test_all_ranks_stop_where_one_is_wrong_with_the_samples_of_all(poisoned):
    on_ranks(2, bad_on_rank)
    assert Path("stopped0").exists()
    assert Path("stopped1").exists()
    assert len(torch.load("runs/bad/nan-step000000006.pt", weights_only=True)["samples"]) == 8


def test_a_run_says_early_what_it_will_cost(cached, capsys):
    run("said", train={"epochs": 2})
    said = capsys.readouterr().out
    assert "2 epochs of 4 steps, 35 faces, 7 people\n" in said
    assert "checkpoints take up to " in said
    assert said.index("forecast: 8 steps take ") < said.index("step 4/8")
    assert said.count("forecast") == 1


def test_a_window_is_the_mean_of_its_steps_and_then_empty():
    window, losses = Window(), torch.tensor([3.0, 5.0, 10.0])
    for step, loss in enumerate(losses):
        samples = torch.arange(4) + step
        window.add(TrainingBatch(samples, samples, samples, samples, None, None), {"loss": loss, "norm": loss * 2})
    report = window.close(3, torch.tensor(1.0), 1)
    assert report.not_finite(("loss", "norm")) is None
    numbers, seconds = report.numbers()
    assert (numbers["loss"], numbers["norm"]) == (6.0, 12.0)
    assert numbers["faces_per_second"] * seconds == pytest.approx(12)
    assert len(window) == 0
    window.add(TrainingBatch(*[torch.tensor([7, 8])] * 4, None, None), {"loss": torch.tensor(float("inf"))})
    bad = window.close(4, torch.tensor(1.0), 1).not_finite(("loss",))
    assert bad is not None
    assert (bad.step, bad.name, bad.value, bad.samples) == (4, "loss", float("inf"), [7, 8])


def test_checkpoints_are_due_by_the_minute():
    progress = Progress(step=10, seconds=100.0, saved=0.0)
    assert not progress.checkpoint_due(2.0)
    progress.seconds = 120.0
    assert progress.checkpoint_due(2.0)
    assert Progress().checkpoint_due(0)


def test_a_disk_without_room_is_refused_before_the_first_step(cached, monkeypatch):
    monkeypatch.setattr("distill.run.forecast.free_bytes", lambda folder: 1000)
    with pytest.raises(UserError, match=r"runs/full: checkpoints need .* MiB, 1,000 bytes are free: make room"):
        run("full")


def test_float16_is_refused_on_a_cpu(cached):
    with pytest.raises(UserError, match="float16' needs a GPU"):
        train(experiment(name="low", train={"precision": "float16"}), Path("data"), CPU, 1)
    assert not Path("runs").exists()
