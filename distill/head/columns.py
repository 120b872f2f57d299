"""The columns of a step's logits: which class centres they are, taken in chunks.

All centres held here, or a sample of them (Partial FC); the rows of the batch that find their own class among them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.head.centers import KeptCenters, LearnedCenters


def chunk_width(batch: int, device: str) -> int:
    """Columns of a chunk: 2 MiB of logits stay in a CPU's cache between their passes, a GPU wants large launches."""
    return max(256, (64 << 20 if device == "cuda" else 1 << 19) // batch)


class Chunk(NamedTuple):
    """Columns start..stop. column, inside: (B,1) where in it a row's own class is, if it is."""

    start: int
    stop: int
    column: Tensor
    inside: Tensor

    def put_own(self, x: Tensor, own: Tensor) -> None:
        """Write own (B,) into the chunk's (B,n), at the rows' own classes.

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
        shard = centers.shard
        self.centers, self._chosen = centers, None
        self._classes, self._held = shard.locate(labels)
        self._places = self._classes
        if chosen is not None:
            here = chosen[(chosen >= shard.first) & (chosen < shard.first + len(shard))] - shard.first
            self._chosen = here.to(labels.device, non_blocking=True)
            self._places = torch.searchsorted(self._chosen, self._classes)

    def __len__(self) -> int:
        return len(self.centers.shard) if self._chosen is None else len(self._chosen)

    def target_cosine(self, unit_s: Tensor) -> Tensor:
        """cos(theta_y) of every row (B,), in unit_s's precision; on all ranks, whoever holds the class."""
        raw = self.centers.weight.detach()[self._classes].to(unit_s.dtype)
        return self.sum_of_held((unit_s * F.normalize(raw)).sum(1))

    def sum_of_held(self, x: Tensor) -> Tensor:
        """x (B,) of the rows whose class is here, on all ranks."""
        return self.centers.shard.sum(x if self._held is None else torch.where(self._held, x, 0))

    def chunks(self) -> Iterator[Chunk]:
        """All columns, in order."""
        width = chunk_width(len(self._places), self._places.device.type)
        for start in range(0, len(self), width):
            stop = min(start + width, len(self))
            inside = (self._places >= start) & (self._places < stop)
            if self._held is not None:
                inside &= self._held
            column = (self._places - start).clamp(0, stop - start - 1)
            yield Chunk(start, stop, column[:, None], inside[:, None])

    def unit(self, chunk: Chunk) -> Tensor:
        """(n,D) unit centres of a chunk."""
        return self.centers.unit(self._which(chunk))

    def add_gradient(self, chunk: Chunk, unit_gradient: Tensor, out: Tensor) -> None:
        """Turn the gradient of a chunk's unit centres (n,D) into that of the raw ones, into their rows of out (C,D)."""
        which = self._which(chunk)
        out[which] = self.centers.raw_gradient(which, unit_gradient)

    def _which(self, chunk: Chunk) -> slice | Tensor:
        columns = slice(chunk.start, chunk.stop)
        return columns if self._chosen is None else self._chosen[columns]
