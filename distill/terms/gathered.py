"""The rows of all ranks with their gradient: what a term of the whole batch is made of."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from common.runtime import gather_rows, rank, world_size


def gather_with_gradient(x: Tensor) -> Tensor:
    """Rows of all ranks (W*B,...) in rank order from those of each (B,...).

    A gradient is that of the sum of all ranks' losses, so the mean of the ranks' parameter gradients is the gradient
    of the mean of their losses.
    """
    if world_size() == 1:
        return x
    rows: Tensor = _AllRows.apply(x)  # type: ignore[no-untyped-call]
    return rows


class _AllRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        return gather_rows(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[rank() * ctx.rows : (rank() + 1) * ctx.rows]
