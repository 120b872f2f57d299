"""The logits of a step, block by block, and their log-sum-exp.

Where all of them fit into a given number of bytes they are formed once and kept; else they are formed a second time
for the gradient, so that nothing of size B x C exists.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from distill.columns import Block, Columns
from distill.products import product


@dataclass(frozen=True)
class Arithmetic:
    """s: scale. limit: bound on cosines, None for none. keep: bytes the logits may take. precision: of products."""

    s: float
    limit: float | None = None
    keep: int = 1 << 30
    precision: str = "float32"


class Logits:
    """s * cos of every row with every column, the rows' own class replaced by its target logit."""

    def __init__(self, unit_s: Tensor, columns: Columns, target: Tensor, arithmetic: Arithmetic) -> None:
        """unit_s: (B,D). target: (B,) logits after the margin."""
        self._unit_s, self._columns, self._target, self._how = unit_s, columns, target, arithmetic
        fits = len(unit_s) * len(columns) * unit_s.element_size() <= arithmetic.keep
        # Block after block, each of them contiguous, in one piece of memory: many pieces would scatter the free space.
        self._kept = unit_s.new_empty(len(columns) * len(unit_s)) if fits else None

    def log_total(self) -> Tensor:
        """Log-sum-exp over the columns of all ranks: (B,). Online: maximum and sum so far, rescaled as they grow."""
        split = self._columns.centers.split
        top = torch.full_like(self._target, -torch.inf)
        total = torch.zeros_like(self._target)
        for block in self._columns.blocks():
            logits = self.form(block)
            if self._kept is not None:
                logits = self._place(block, self._kept).copy_(logits)
            higher = torch.maximum(top, logits.amax(1))
            total.mul_((top - higher).exp_()).add_((logits - higher[:, None]).exp_().sum(1))
            top = higher
        highest = split.max(top.clone())
        return highest + split.sum(total.mul_((top - highest).exp_())).log()

    def again(self) -> Iterator[tuple[Block, Tensor]]:
        """Every block with its logits (B,n), which the caller may write over."""
        for block in self._columns.blocks():
            yield block, self.form(block) if self._kept is None else self._place(block, self._kept)

    def _place(self, block: Block, kept: Tensor) -> Tensor:
        rows = len(self._unit_s)
        return kept[block.start * rows : block.stop * rows].view(rows, -1)

    def clamped(self, logits: Tensor) -> Tensor | None:
        """Where a cosine was beyond the limit: bool (B,n), None without a limit."""
        if self._how.limit is None:
            return None
        return logits.abs() >= logits.new_tensor(self._how.limit) * self._how.s  # the very product that `form` makes

    def form(self, block: Block) -> Tensor:
        """The logits (B,n) of a block, made anew."""
        logits = product(self._unit_s, self._columns.unit(block).T, self._how.precision)
        if self._how.limit is not None:
            logits.clamp_(-self._how.limit, self._how.limit)
        logits *= self._how.s
        logits[block.rows, block.places] = self._target[block.rows]
        return logits
