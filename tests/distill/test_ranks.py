"""Gloo ranks against one process that saw the whole batch."""

import contextlib
from pathlib import Path

import pytest
import torch

from common.runtime import mean_over_ranks, world_size
from distill.head.head import build_head
from distill.step import Trainer
from tests.distill.small_runs import curves, equal, final_state, on_ranks, run

STEPS, ROWS, CLASSES, DIM = 6, 12, 9, 16
GEOMETRY = {"margin": "adaface", "geometry": "live"}


def data() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        (
            torch.randn(ROWS, DIM, generator=generator) * 5,
            torch.randn(ROWS, DIM, generator=generator),
            torch.randint(CLASSES, (ROWS,), generator=generator),
        )
        for _ in range(STEPS)
    ]


def play(rank: int, ranks: int, section: dict) -> dict[str, torch.Tensor]:
    """This rank's share of every step; losses over all ranks, the head's final state, the gradient of all rows."""
    torch.manual_seed(0)
    head = build_head(section, CLASSES, DIM)
    losses, gradients = [], []
    rows = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    for step, (f_s, f_t, labels) in enumerate(data()):
        mine = f_s[rows].clone().requires_grad_()
        loss = head(mine, f_t[rows], labels[rows], step / STEPS).loss
        loss.backward()
        losses.append(mean_over_ranks(loss.detach().clone()))
        gradients.append(mine.grad / ranks)
    return {"losses": torch.stack(losses), "gradients": torch.stack(gradients), **head.state_dict()}


def play_on_rank(rank: int, section: dict) -> None:
    torch.save(play(rank, world_size(), section), f"{rank}.pt")


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_centres_statistics_and_loss_of_the_global_batch(tmp_path, monkeypatch, ranks):
    monkeypatch.chdir(tmp_path)
    alone = play(0, 1, GEOMETRY)
    on_ranks(ranks, play_on_rank, GEOMETRY)
    several = [torch.load(tmp_path / f"{r}.pt", weights_only=True) for r in range(ranks)]
    for other in several[1:]:
        for key in alone.keys() - {"gradients"}:
            assert torch.equal(several[0][key], other[key]), f"{key} differs between ranks"
    torch.testing.assert_close(several[0]["centers.weight"], alone["centers.weight"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(several[0]["losses"], alone["losses"], rtol=1e-6, atol=1e-5)
    gradients = torch.cat([s["gradients"] for s in several], 1)
    torch.testing.assert_close(gradients, alone["gradients"], rtol=1e-5, atol=1e-7)
    for key in ("norms.mean", "norms.std"):
        torch.testing.assert_close(several[0][key], alone[key], rtol=1e-6, atol=0)


def train_on_rank(rank: int, name: str, stop: int | None) -> None:
    """A run of three ranks; with `stop`, interrupted before that step."""
    step = Trainer.step

    def stopping(self, batch, at, steps):
        if at == stop:
            raise KeyboardInterrupt
        return step(self, batch, at, steps)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Trainer, "step", stopping)
        run(name, train={"batch_size": 2, "epochs": 1, "checkpoint_minutes": 0, "log_every": 1})


def test_a_run_on_three_ranks_resumes_bit_for_bit_and_ends_with_one_student(cached):
    on_ranks(3, train_on_rank, "whole", None)
    for stop in (1, None):
        on_ranks(3, train_on_rank, "stopped", stop)
    assert final_state("whole")["ranks"] == 3
    assert equal(final_state("stopped"), final_state("whole"))
    assert curves("stopped") == curves("whole")
    assert Path("runs/stopped/student.safetensors").exists()
