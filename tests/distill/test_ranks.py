"""Two gloo ranks against one process that saw the whole batch."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from common.runtime import mean_over_ranks
from distill import checkpoints
from distill.head import build_head

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


def child(rank: int, ranks: int, folder: str, section: dict) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "RANK": str(rank), "WORLD_SIZE": str(ranks)}
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    torch.save(play(rank, ranks, section), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_centres_statistics_and_loss_of_the_global_batch(tmp_path, ranks):
    alone = play(0, 1, GEOMETRY)
    mp.spawn(child, (ranks, str(tmp_path), GEOMETRY), nprocs=ranks)
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


def train_child(rank: int, ranks: int, folder: str) -> None:
    from distill.train import train
    from tests.tiny import experiment

    os.chdir(folder)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    config = experiment(name="ranks", cache={"path": "caches/tiny"}, train={"batch_size": 4})
    train(config, Path("data"), torch.device("cpu"), 1)
    dist.destroy_process_group()


def test_a_whole_run_on_two_ranks_ends_with_one_student(world):
    from cache.build import build
    from common.sources import open_source
    from tests.tiny import TinyTeacher, experiment

    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    mp.spawn(train_child, (2, str(world)), nprocs=2)
    state = checkpoints.latest(world / "runs/ranks/checkpoints")
    assert state["ranks"] == 2
    assert (world / "runs/ranks/student.safetensors").exists()
    assert all(torch.isfinite(v).all() for v in state["student"].values())
