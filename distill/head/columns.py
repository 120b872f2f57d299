"""The columns of a step's logits: which class centres they are, taken in blocks.

All centres held here, or a sample of them (Partial FC); the rows of the batch that find their own class among them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.head.centers import KeptCenters, LearnedCenters


def block_width(batch: int, device: str) -> int:
    """Columns of a block: 2 MiB of logits stay in a CPU's cache between their passes, a GPU wants large launches."""
    return max(256, (64 << 20 if device == "cuda" else 1 << 19) // batch)


class Block(NamedTuple):
    """Columns start..stop. column, inside: (B,1) where in it a row's own class is, if it is."""

    start: int
    stop: int
    column: Tensor
    inside: Tensor

    def put_own(self, x: Tensor, own: Tensor) -> None:
        """Write own (B,) into the block's (B,n), at the rows' own classes.

        Every row writes, the others what is there: so shapes do not depend on values, and no device waits for one.
        """
        there = x.gather(1, self.column)
        x.scatter_(1, self.column, torch.where(self.inside, own[:, None], there))


class Columns:
    """Class centres whose logits are formed on this rank."""

    def __init__(self, centers: KeptCenters | LearnedCenters, labels: Tensor, chosen: Tensor | None = None) -> None:
        """labels: int64 (B,), global class numbers. chosen: int64 (n,) on the CPU, sorted global numbers of the classes
        that take part, those of the batch among them; None for all.
        """
        split = centers.split
        self.centers, self._chosen = centers, None
        self._classes, self._held = split.locate(labels)
        self._places = self._classes
        if chosen is not None:
            here = chosen[(chosen >= split.first) & (chosen < split.first + len(split))] - split.first
            self._chosen = here.to(labels.device, non_blocking=True)
            self._places = torch.searchsorted(self._chosen, self._classes)

    def __len__(self) -> int:
        return len(self.centers.split) if self._chosen is None else len(self._chosen)

    def target_cosine(self, unit_s: Tensor) -> Tensor:
        """cos(theta_y) of every row (B,), in unit_s's precision; on all ranks, whoever holds the class."""
        raw = self.centers.weight.detach()[self._classes].to(unit_s.dtype)
        return self.sum_of_held((unit_s * F.normalize(raw)).sum(1))

    def sum_of_held(self, x: Tensor) -> Tensor:
        """x (B,) of the rows whose class is here, on all ranks."""
        return self.centers.split.sum(x if self._held is None else torch.where(self._held, x, 0))

    def blocks(self) -> Iterator[Block]:
        """All columns, in order."""
        width = block_width(len(self._places), self._places.device.type)
        for start in range(0, len(self), width):
            stop = min(start + width, len(self))
            inside = (self._places >= start) & (self._places < stop)
            if self._held is not None:
                inside &= self._held
            column = (self._places - start).clamp(0, stop - start - 1)
            yield Block(start, stop, column[:, None], inside[:, None])

    def unit(self, block: Block) -> Tensor:
        """(n,D) unit centres of a block."""
        return self.centers.unit(self._which(block))

    def add_gradient(self, block: Block, of_unit: Tensor, out: Tensor) -> None:
        """Turn the gradient of a block's unit centres (n,D) into that of the raw ones, into their rows of out (C,D)."""
        which = self._which(block)
        out[which] = self.centers.of_raw(which, of_unit)

    def _which(self, block: Block) -> slice | Tensor:
        columns = slice(block.start, block.stop)
        return columns if self._chosen is None else self._chosen[columns]
