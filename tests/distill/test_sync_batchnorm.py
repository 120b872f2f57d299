"""BatchNorm over ranks against torch's on one process that sees all rows; and whole steps against one process's."""

from pathlib import Path

import pytest
import torch
from torch import nn

from common.config import TrainConfig
from common.runtime import mean_over_ranks, world_size
from distill import sync_batchnorm
from distill.batches import TrainingBatch
from distill.head.head import build_head
from distill.step import Trainer
from distill.sync_batchnorm import synchronise
from tests.distill.small_runs import CPU, on_ranks

STEPS, ROWS, CLASSES, DIM = 50, 16, 9, 8


def norms(affine: bool) -> nn.Module:
    torch.manual_seed(1)
    net = nn.Sequential(nn.BatchNorm2d(3, affine=affine), nn.Flatten(), nn.BatchNorm1d(12, affine=affine))
    for parameter in net.parameters():
        nn.init.uniform_(parameter, 0.5, 2)
    return net


def passed(net: nn.Module, rows: slice) -> dict[str, torch.Tensor]:
    """Output, gradients and running statistics for some of the rows of one batch."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.randn(ROWS, 3, 2, 2, generator=generator) * 3 + 5)[rows].requires_grad_()
    weight = torch.randn(ROWS, 12, generator=generator)[rows]
    y = net(x)
    (y * weight).sum().backward()
    gradients = {f"gradient {name}": p.grad for name, p in net.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **gradients, **dict(net.named_buffers())}


def stats(x, eps):
    variance, mean = torch.var_mean(x.transpose(0, 1).flatten(1), 1, correction=0)
    return mean, torch.rsqrt(variance + eps)


def joined_stats(x, means, inverses, running_mean, running_var, momentum, eps, counts):
    part, total = (counts / counts.sum())[:, None], counts.sum()
    mean = (part * means).sum(0)
    variance = (part * (inverses**-2 - eps + means**2)).sum(0) - mean**2
    running_mean.lerp_(mean, momentum)
    running_var.lerp_(variance * total / (total - 1), momentum)
    return mean, torch.rsqrt(variance + eps)


def wide(channels, x):
    return channels.view(1, -1, *[1] * (x.dim() - 2))


def normalised(x, weight, bias, mean, inverse, eps):
    unit = (x - wide(mean, x)) * wide(inverse, x)
    return unit if weight is None else unit * wide(weight, x) + wide(bias, x)


def sums(grad, x, mean, inverse, weight, of_x, of_weight, of_bias):
    dims = [0, *range(2, x.dim())]
    along, slope = grad.sum(dims), (grad * (x - wide(mean, x))).sum(dims)
    return along, slope, slope * inverse if of_weight else None, along if of_bias else None


def gradient(grad, x, mean, inverse, weight, along, slope, counts):
    total = counts.sum()
    moved = grad - wide(along / total, x) - (x - wide(mean, x)) * wide(inverse**2 * slope / total, x)
    return moved * wide(inverse if weight is None else inverse * weight, x)


# What torch's kernels for CUDA give, from what its SyncBatchNorm does with them.
KERNELS = {
    "batch_norm_stats": stats,
    "batch_norm_gather_stats_with_counts": joined_stats,
    "batch_norm_elemt": normalised,
    "batch_norm_backward_reduce": sums,
    "batch_norm_backward_elemt": gradient,
}


def norm_on_rank(rank: int, affine: bool, kernels: bool) -> None:
    if kernels:
        sync_batchnorm._GlobalNorm = sync_batchnorm._KernelNorm
        for name, kernel in KERNELS.items():
            setattr(torch, name, kernel)
    rows = ROWS // world_size()
    mine = passed(synchronise(norms(affine)), slice(rank * rows, (rank + 1) * rows))
    torch.save(mine, f"norm{rank}.pt")


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kernels", [False, True], ids=["", "kernels"])
def test_outputs_gradients_and_statistics_are_those_of_all_rows(tmp_path, monkeypatch, affine, kernels):
    monkeypatch.chdir(tmp_path)
    whole = passed(norms(affine), slice(None))
    on_ranks(4, norm_on_rank, affine, kernels)
    parts = [torch.load(f"norm{rank}.pt", weights_only=True) for rank in range(4)]
    for name, expected in whole.items():
        if name in ("x", "y"):
            got = torch.cat([part[name] for part in parts])
        elif name.startswith("gradient"):
            got = sum(part[name] for part in parts)
        else:
            got = parts[0][name]
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_one_process_computes_as_without():
    plain, synchronised = passed(norms(True), slice(None)), passed(synchronise(norms(True)), slice(None))
    assert all(torch.equal(plain[name], synchronised[name]) for name in plain)


class To(nn.Module):
    """The batch in another precision than a student's float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


def losses(rank: int, ranks: int, sync: bool, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Losses of the global batch over `STEPS` steps of a small network with BatchNorm, every rank on its rows."""
    torch.manual_seed(3)
    conv = nn.Conv2d(3, 8, 3, stride=2, bias=False)
    norm, last = nn.BatchNorm2d(8), (nn.Linear(72, DIM), nn.BatchNorm1d(DIM))
    student = nn.Sequential(To(dtype), conv, norm, nn.PReLU(8), nn.Flatten(), *last).to(dtype)
    head = build_head({"margin": "adaface", "geometry": "live"}, CLASSES, DIM).to(dtype)
    train = TrainConfig(batch_size=ROWS // ranks, lr=0.02, lr_batch=0, sync_batchnorm=sync, epochs=5, ema=0.9)
    trainer = Trainer(student, head, train, CPU, ranks)
    generator = torch.Generator().manual_seed(4)
    teacher = torch.randn(CLASSES, DIM, generator=generator)
    rows = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    found = []
    for step in range(STEPS):
        labels = torch.randint(CLASSES, (ROWS,), generator=generator)
        faces = torch.randint(0, 128, (ROWS, 8, 8, 3), generator=generator, dtype=torch.uint8)
        faces += (labels * 14).to(torch.uint8)[:, None, None, None]
        f_t = teacher[labels] + 0.3 * torch.randn(ROWS, DIM, generator=generator)
        batch = TrainingBatch(faces, labels, torch.arange(ROWS), torch.zeros(ROWS, dtype=torch.int64), f_t, None)
        mine = TrainingBatch(*(None if x is None else x[rows] for x in batch))
        found.append(mean_over_ranks(trainer.step(mine, step, 10)["loss"].clone()))
    assert trainer.average is not None
    return torch.stack([*found, *(p.sum() for p in (*student.parameters(), *trainer.average.network.parameters()))])


def losses_on_rank(rank: int, sync: bool, *dtypes: torch.dtype) -> None:
    found = torch.stack([losses(rank, world_size(), sync, dtype) for dtype in dtypes])
    torch.save(found, f"losses{world_size()}-{rank}.pt")


def test_fifty_steps_on_one_two_and_four_ranks_give_the_same_losses(tmp_path, monkeypatch):
    """In float64 they are equal to 1e-11. In float32 rounding is drawn anew and grows with the steps: by then several
    ranks may be as far from the float64 losses as one is, times 4, for one is a single draw."""
    monkeypatch.chdir(tmp_path)
    alone, exact = losses(0, 1, True).double(), losses(0, 1, True, torch.float64)
    assert exact[40:50].mean() < 0.8 * exact[:10].mean()
    rounding = (alone / exact - 1)[:STEPS].abs().max()
    for ranks in (2, 4):
        on_ranks(ranks, losses_on_rank, True, torch.float32, torch.float64)
        several = [torch.load(Path(f"losses{ranks}-{rank}.pt"), weights_only=True) for rank in range(ranks)]
        assert all(torch.equal(several[0], other) for other in several[1:])
        single, double = several[0]
        torch.testing.assert_close(double, exact, rtol=1e-11, atol=1e-11)
        assert (single / exact - 1)[:STEPS].abs().max() < 4 * rounding


def test_without_it_ranks_normalise_by_their_own_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    on_ranks(2, losses_on_rank, False, torch.float32)
    apart, alone = torch.load("losses2-0.pt", weights_only=True)[0, :STEPS], losses(0, 1, sync=False)[:STEPS]
    assert (apart / alone - 1).abs().max() > 1e-2
