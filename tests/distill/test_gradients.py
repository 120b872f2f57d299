"""Gradients averaged over ranks, many in few collectives."""

from collections.abc import Iterator

import pytest
import torch

from distill import gradients
from distill.gradients import average_over_ranks
from tests.distill.small_runs import on_ranks

SHAPES = [(4, 3, 3, 3), (4,), (8, 4, 1, 1), (5, 7), (), (2, 3, 2, 2)]


def of_rank(rank: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    for number, shape in enumerate(SHAPES):
        dtype = torch.float64 if number == 3 else torch.float32
        x = torch.randn(shape, generator=generator, dtype=dtype)
        yield x.to(memory_format=torch.channels_last) if x.dim() == 4 else x


def averaged_on_rank(rank: int, bucket_bytes: int) -> None:
    gradients.BUCKET_BYTES = bucket_bytes
    mine = [*of_rank(rank)]
    average_over_ranks(mine)
    torch.save(mine, f"mean{rank}.pt")


@pytest.mark.parametrize("bucket_bytes", [1, 600, 1 << 20])
def test_every_rank_gets_the_means_whatever_shape_layout_and_bucket(tmp_path, monkeypatch, bucket_bytes):
    monkeypatch.chdir(tmp_path)
    on_ranks(3, averaged_on_rank, bucket_bytes)
    parts = [[*of_rank(rank)] for rank in range(3)]
    for rank in range(3):
        for mean, *terms in zip(torch.load(f"mean{rank}.pt", weights_only=True), *parts, strict=True):
            torch.testing.assert_close(mean, torch.stack(terms).mean(0))


def test_channels_last_weights_are_packed_without_a_copy():
    x = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last)
    assert gradients._in_memory_order(x).data_ptr() == x.data_ptr()


def test_buckets_keep_their_order_and_size(monkeypatch):
    monkeypatch.setattr(gradients, "BUCKET_BYTES", 128)
    parts = [torch.zeros(n) for n in (10, 20, 100, 5, 27)]
    assert [[len(part) for part in bucket] for bucket in gradients._buckets(parts)] == [[10, 20], [100], [5, 27]]
