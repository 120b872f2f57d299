"""What several ranks do together, run by each of them: python -m benchmarks.gpu.collective_ranks sums --device cuda"""

import os
import time
from pathlib import Path

import click
import torch
import torch.distributed as dist

from common.cli import Commands
from common.errors import DataError
from common.runtime import choose_device, gather_rows, mean_over_ranks, process_group, rank, world_size

TYPES = (torch.float32, torch.bfloat16, torch.float64, torch.int64)


@click.group(cls=Commands)
def main() -> None:
    """Programs for ranks."""


@main.command()
@click.option("--device", default="cpu")
def sums(device: str) -> None:
    """Every collective the code uses, in every type, against what has to come out; the first rank prints OK."""
    where = choose_device(device)
    with process_group(where):
        if not dist.is_initialized():  # one rank: `process_group` makes no group of it
            backend = "nccl" if where.type == "cuda" else "gloo"
            meeting = Path("meeting").absolute()
            meeting.unlink(missing_ok=True)
            dist.init_process_group(backend, init_method=f"file://{meeting}", rank=0, world_size=1)
        for dtype in TYPES:
            check(where, dtype)
        dist.barrier()
        if rank() == 0:
            click.echo(f"OK {world_size()} ranks by {dist.get_backend()}")
        if world_size() == 1:
            dist.destroy_process_group()


def check(where: torch.device, dtype: torch.dtype) -> None:
    """Rank r brings r + 1 everywhere."""
    ranks, number = world_size(), rank()
    here = torch.full((4, 3), number + 1, dtype=dtype, device=where)
    total = ranks * (ranks + 1) // 2
    expect(sum_of(here, dist.ReduceOp.SUM), torch.full_like(here, total), "all_reduce")
    expect(sum_of(here, dist.ReduceOp.MAX), torch.full_like(here, ranks), "all_reduce, MAX")
    order = torch.arange(1, ranks + 1, device=where).to(dtype).repeat_interleave(4)[:, None].expand(-1, 3)
    expect(gather_rows(here), order, "all_gather")
    parts = [torch.empty_like(here) for _ in range(ranks)] if number == 0 else None
    dist.gather(here, parts)
    if parts is not None:
        expect(torch.cat(parts), order, "gather")
    first = here.clone()
    dist.broadcast(first, 0)
    expect(first, torch.ones_like(first), "broadcast")
    if dtype.is_floating_point:
        expect(mean_over_ranks(here.clone()), torch.full_like(here, total / ranks), "mean")


def sum_of(x: torch.Tensor, operation: dist.ReduceOp.RedOpType) -> torch.Tensor:
    """Over all ranks, in a copy."""
    x = x.clone()
    dist.all_reduce(x, operation)
    return x


def expect(found: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    """Raises RuntimeError unless both are equal."""
    if not torch.equal(found, wanted):
        raise RuntimeError(f"{what} of {found.dtype}: {found.tolist()}, not {wanted.tolist()}")


@main.command()
@click.option("--device", default="cpu")
def fail(device: str) -> None:
    """The last rank cannot go on; the others wait for it in a sum. The moment is written to failed.txt."""
    where = choose_device(device)
    with process_group(where):
        here = torch.ones(4, device=where)
        dist.all_reduce(here)
        here.cpu()
        if rank() == world_size() - 1:
            Path("failed.txt").write_text(str(time.time()))
            raise DataError(f"rank {rank()} of process {os.getpid()} cannot read its picture: this is on purpose")
        dist.all_reduce(here)
        here.cpu()


if __name__ == "__main__":
    main()
