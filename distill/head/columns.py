"""The columns of a step's logits: which class centres they are, taken in chunks.

All centres held here, or a sample of them (Partial FC); the rows of the batch that find their own class among them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.head.centers import KeptCenters, LearnedCenters
from distill.head.sampled_centers import SampledCenters
from distill.head.sampling import Sample


def chunk_width(batch: int, device: str) -> int:
    """Columns of a chunk: 2 MiB of logits stay in a CPU's cache between their passes, a GPU wants large launches."""
    return max(256, (64 << 20 if device == "cuda" else 1 << 19) // batch)


class Chunk(NamedTuple):
    """Columns start..stop. column, inside: (B,1) where in it a row's own class is, if it is. filler: bool (n,) columns
    that are no class, None where all are."""

    start: int
    stop: int
    column: Tensor
    inside: Tensor
    filler: Tensor | None = None

    def put_own(self, x: Tensor, own: Tensor) -> None:
        """Write own (B,) into the chunk's (B,n), at the rows' own classes.

        Every row writes, the others what is there: so shapes do not depend on values, and no device waits for one.
        """
        there = x.gather(1, self.column)
        x.scatter_(1, self.column, torch.where(self.inside, own[:, None], there))


class Columns:
    """Class centres whose logits are formed on this rank."""

    def __init__(self, centers: KeptCenters | LearnedCenters, labels: Tensor, sample: Sample | None = None) -> None:
        """labels: int64 (B,), global class numbers. sample: the classes held here that take part; None for all."""
        self.centers, self._sample = centers, sample
        self._classes, self._held = centers.shard.locate(labels)
        self._places = self._classes if sample is None else sample.columns
        # Sampled learned centres stand in the sample's order; all others are found by their numbers.
        self._rows = None if sample is None or isinstance(centers, SampledCenters) else sample.rows

    def __len__(self) -> int:
        return len(self.centers.shard) if self._sample is None else len(self._sample.rows)

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
            filler = self._sample and self._sample.filler
            yield Chunk(start, stop, column[:, None], inside[:, None], None if filler is None else filler[start:stop])

    def unit(self, chunk: Chunk) -> Tensor:
        """(n,D) unit centres of a chunk."""
        return self.centers.unit(self._which(chunk))

    def add_gradient(self, chunk: Chunk, unit_gradient: Tensor, out: Tensor) -> None:
        """Turn the gradient of a chunk's unit centres (n,D) into that of the raw ones, into their rows of out: of
        the shape of what is trained."""
        which = self._which(chunk)
        out[which] = self.centers.raw_gradient(which, unit_gradient)

    def numbers(self, chunk: Chunk) -> slice | Tensor:
        """Which of the classes held here a chunk's columns are."""
        columns = slice(chunk.start, chunk.stop)
        return columns if self._sample is None else self._sample.rows[columns]

    def _which(self, chunk: Chunk) -> slice | Tensor:
        columns = slice(chunk.start, chunk.stop)
        return columns if self._rows is None else self._rows[columns]
