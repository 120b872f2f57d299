"""The logits of a step, chunk by chunk, and their sum as exponentials.

Where all of them fit into a given number of bytes they are formed once and kept; else they are formed a second time
for the gradient, so that nothing of size B x C exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from common.config import HeadPrecision
from distill.head.columns import Chunk, Columns


@dataclass(frozen=True)
class Arithmetic:
    """s: scale. limit: bound on cosines, None for none. keep: bytes the logits may take. precision: of products."""

    s: float
    limit: float | None = None
    keep: int = 1 << 30
    precision: HeadPrecision = "float32"


class Logits:
    """s * cos of every row with every class but its own, whose place holds the lowest number there is.

    A row's own class stays outside, for the sum over the others is what its gradient is made of: within the whole sum
    a well-learned row would lose it to rounding.
    """

    def __init__(self, unit_s: Tensor, columns: Columns, arithmetic: Arithmetic) -> None:
        """unit_s: (B,D)."""
        self._unit_s, self._columns, self._arithmetic = unit_s, columns, arithmetic
        self._lowest = torch.full_like(unit_s[:, 0], torch.finfo(unit_s.dtype).min)
        fits = len(unit_s) * len(columns) * unit_s.element_size() <= arithmetic.keep
        # Chunk after chunk, each of them contiguous, in one piece of memory: many pieces would scatter the free space.
        self._kept = unit_s.new_empty(len(columns) * len(unit_s)) if fits else None
        if arithmetic.limit is not None:  # the very number that `form` makes of it
            self._bound = float(torch.tensor(arithmetic.limit, dtype=unit_s.dtype, device="cpu") * arithmetic.s)

    def others(self) -> tuple[Tensor, Tensor]:
        """Largest logit, and the sum of exp(logit - largest), over the columns of all ranks: (B,) each.

        Online: maximum and sum so far, rescaled as they grow.
        """
        shard = self._columns.centers.shard
        top = self._lowest
        total = torch.zeros_like(top)
        for chunk in self._columns.chunks():
            logits = self.form(chunk)
            if self._kept is not None:
                logits = self._place(chunk, self._kept).copy_(logits)
            higher = torch.maximum(top, logits.amax(1))
            total.mul_((top - higher).exp_()).add_((logits - higher[:, None]).exp_().sum(1))
            top = higher
        highest = shard.max(top.clone())
        return highest, shard.sum(total.mul_((top - highest).exp_()))

    def second_pass(self) -> Iterator[tuple[Chunk, Tensor]]:
        """Every chunk with its logits (B,n), which the caller may write over."""
        for chunk in self._columns.chunks():
            yield chunk, self.form(chunk) if self._kept is None else self._place(chunk, self._kept)

    def _place(self, chunk: Chunk, kept: Tensor) -> Tensor:
        rows = len(self._unit_s)
        return kept[chunk.start * rows : chunk.stop * rows].view(rows, -1)

    def clamped(self, logits: Tensor) -> Tensor | None:
        """Where a cosine was beyond the limit: bool (B,n), None without a limit."""
        return None if self._arithmetic.limit is None else logits.abs() >= self._bound

    def form(self, chunk: Chunk) -> Tensor:
        """The logits (B,n) of a chunk, made anew."""
        logits = product(self._unit_s, self._columns.unit(chunk).T, self._arithmetic.precision)
        if self._arithmetic.limit is not None:
            logits.clamp_(-self._arithmetic.limit, self._arithmetic.limit)
        logits *= self._arithmetic.s
        chunk.put_own(logits, self._lowest)
        if chunk.filler is not None:
            logits.masked_fill_(chunk.filler, torch.finfo(logits.dtype).min)
        return logits


def product(a: Tensor, b: Tensor, precision: HeadPrecision) -> Tensor:
    """a (n,k) @ b (k,m) -> (n,m), of a's dtype whatever the precision; two or three of them are nearly all of a head.

    precision: `bfloat16` rounds both operands and the result to 8 bits; `float32` rounds to a's own dtype.
    """
    match precision:
        case "bfloat16":
            return (a.bfloat16() @ b.bfloat16()).to(a.dtype)
        case "float32":
            return _full_product(a, b)
        case unknown:
            assert_never(unknown)


def _full_product(a: Tensor, b: Tensor) -> Tensor:
    if a.device.type == "cpu" and a.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        # oneDNN uses AVX-512 on any make of CPU, MKL (behind `@`) on Intel's alone; benchmarks/head.py has the ratio.
        return F.linear(a.contiguous().to_mkldnn(), b.T.contiguous().to_mkldnn()).to_dense()
    return a @ b
