"""What float32 leaves of the gradients of rows that are learned well, against float64."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from common.runtime import rank, world_size
from distill.head import columns
from distill.head.class_shard import ClassShard
from distill.head.head import Head, build_head
from distill.head.sampling import sample_classes
from tests.distill.head.test_head_softmax import MARGINS, plain_loss
from tests.distill.small_runs import on_ranks

ROWS, CLASSES, DIM, S, M = 400, 1000, 512, 64.0, 0.4
DECADES = [10.0**-power for power in range(-1, 8)]  # losses from 10 down to 1e-7
OF_ONEDNN = "with oneDNN's products"
WAYS: dict[str, dict[str, Any]] = {
    OF_ONEDNN: {},
    "whole": {},
    "in blocks": {"logits_mib": 1},
    "formed twice": {"logits_mib": 0},
    "sampled": {"sample_rate": 0.7},
    "split": {"split_classes": True},
}


def rows_of_all_losses() -> tuple[Tensor, Tensor, Tensor]:
    """float32 f_s (B,D), raw centres (C,D) and labels: rows from far from their centre to close to it."""
    generator = torch.Generator().manual_seed(1)
    weight, noise = (F.normalize(torch.randn(n, DIM, generator=generator)) for n in (CLASSES, ROWS))
    labels = torch.randperm(CLASSES, generator=generator)[:ROWS]
    f_s = F.normalize(weight[labels] * torch.linspace(0.1, 2.5, ROWS)[:, None] + noise)
    return f_s * torch.linspace(5, 40, ROWS)[torch.randperm(ROWS, generator=generator)][:, None], weight * 0.3, labels


def build(margin: str, way: str) -> Head:
    section = {"margin": margin, "centers": "frozen", "s": S} | ({} if margin == "none" else {"m": M})
    head = build_head(section | WAYS[way], CLASSES, DIM, seed=2)
    head.centers.weight.copy_(head.shard.share(rows_of_all_losses()[1]))
    return head


def gradient(head: Head) -> Tensor:
    """Of this rank's rows, for the mean of all."""
    f_s, _, labels = rows_of_all_losses()
    if head.shard.parts == 1:
        labels = labels.chunk(world_size())[rank()]
    mine = f_s.chunk(world_size())[rank()].clone().requires_grad_()
    head(mine, None, labels, 0.0).loss.backward()
    assert mine.grad is not None
    return mine.grad / world_size()


def on_rank(rank: int) -> None:
    torch.save({margin: gradient(build(margin, "split")) for margin in MARGINS}, f"{rank}.pt")


@pytest.fixture(scope="module")
def split_gradients(tmp_path_factory) -> dict[str, Tensor]:
    """By margin, from two ranks with half of the classes each."""
    folder = tmp_path_factory.mktemp("split")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        on_ranks(2, on_rank)
    parts = [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(2)]
    return {margin: torch.cat([part[margin] for part in parts]) for margin in MARGINS}


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("way", WAYS)
def test_rows_keep_their_digits_however_well_they_are_learned(margin, way, monkeypatch, split_gradients):
    """Relative error of every row's gradient: within that of a logit, s times float32's rounding, at all losses; and
    on average over the rows of a decade of losses no worse than that of float32 autograd, which has torch's products:
    oneDNN sums in another order, 1e-6 instead of 6e-7 where losses are above 1."""
    if way != OF_ONEDNN:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    if way in ("in blocks", "formed twice"):
        monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 300)
    f_s, weight, labels = rows_of_all_losses()
    head = build(margin, "whole" if way == "split" else way)
    ours = gradient(head)  # also moves AdaFace's statistics, as both formulas below then find them
    if way == "split":
        ours = split_gradients[margin]
    classes = sample_classes(labels, ClassShard(CLASSES), 700, 2, 0).rows if way == "sampled" else torch.arange(CLASSES)

    def plain(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        x = f_s.to(dtype, copy=True).requires_grad_()
        losses = plain_loss(head, x, weight.to(dtype), labels, classes, reduction="none")
        return losses.detach(), torch.autograd.grad(losses.mean(), x)[0]

    losses, exact = plain(torch.float64)
    error, error_of_plain = (
        (found - exact).norm(dim=1) / exact.norm(dim=1) for found in (ours, plain(torch.float32)[1])
    )
    assert error[(losses < DECADES[0]) & (losses > DECADES[-1])].max() < 3 * S * torch.finfo(torch.float32).eps
    for high, low in itertools.pairwise(DECADES):
        decade = (losses < high) & (losses >= low)
        assert decade.any()
        rms, rms_of_plain = (of_row[decade].square().mean().sqrt() for of_row in (error, error_of_plain))
        assert rms <= 1.2 * rms_of_plain or way == OF_ONEDNN, f"losses of {low:g} to {high:g}"
