"""Means of gradients over ranks, many tensors in few collectives."""

from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor

from common.runtime import world_size

BUCKET_BYTES = 64 << 20


def average_over_ranks(gradients: Iterable[Tensor]) -> None:
    """Mean over ranks, in place. Ranks must give tensors of the same shapes and strides in the same order.

    Not DistributedDataParallel: its buckets are laid out anew after the first step of a process, so a run that is
    resumed would sum in another order than one that was not. These follow from shapes alone. While one travels the next
    is packed.
    """
    travelling = []
    for bucket in _buckets([_in_memory_order(gradient) for gradient in gradients]):
        flat = torch.cat(bucket)
        travelling.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in travelling:
        work.wait()
        flat /= world_size()
        torch._foreach_copy_(bucket, flat.split([len(part) for part in bucket]))


def _buckets(parts: list[Tensor]) -> Iterator[list[Tensor]]:
    """Neighbours of one dtype, together at most BUCKET_BYTES, but never none."""
    bucket: list[Tensor] = []
    size = 0
    for part in parts:
        if bucket and (part.dtype != bucket[0].dtype or size + part.nbytes > BUCKET_BYTES):
            yield bucket
            bucket, size = [], 0
        bucket.append(part)
        size += part.nbytes
    if bucket:
        yield bucket


def _in_memory_order(x: Tensor) -> Tensor:
    """A dense tensor as (n,), a view in the order of its memory: so channels-last weights need no copy."""
    order = sorted(range(x.dim()), key=lambda dim: (x.stride(dim), x.shape[dim]), reverse=True)
    return x.permute(order).view(-1)
