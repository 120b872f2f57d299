"""The columns of a step's logits: which class centres they are, taken in blocks.

All centres held here, or a sample of them (Partial FC); the rows of the batch that find their own class among them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.centers import KeptCenters, LearnedCenters


def block_width(batch: int, device: str) -> int:
    """Columns of a block: 2 MiB of logits stay in a CPU's cache between their passes, a GPU wants large launches."""
    return max(256, (64 << 20 if device == "cuda" else 1 << 19) // batch)


class Block(NamedTuple):
    """Columns start..stop; `rows` of the batch have their class in column start + `places`."""

    start: int
    stop: int
    rows: Tensor
    places: Tensor


class Columns:
    """Class centres whose logits are formed on this rank."""

    def __init__(self, centers: KeptCenters | LearnedCenters, labels: Tensor, chosen: Tensor | None = None) -> None:
        """labels: int64 (B,), global class numbers. chosen: int64 (n,), sorted global numbers of the classes that take
        part, those of the batch among them; None for all.
        """
        self.centers, self._chosen = centers, None
        rows, places = centers.split.locate(labels)
        if chosen is not None:
            self._chosen = centers.split.locate(chosen)[1]
            places = torch.searchsorted(self._chosen, places)
        self._places, order = places.sort()
        self._rows = rows[order]
        self._batch = len(labels)

    def __len__(self) -> int:
        return len(self.centers.split) if self._chosen is None else len(self._chosen)

    def target_cosine(self, unit_s: Tensor) -> Tensor:
        """cos(theta_y) of every row (B,), in unit_s's precision; on all ranks, whoever holds the class."""
        raw = self.centers.weight.detach()[self._numbers(self._places)].to(unit_s.dtype)
        cos = unit_s.new_zeros(self._batch)
        cos[self._rows] = (unit_s[self._rows] * F.normalize(raw)).sum(1)
        return self.centers.split.sum(cos)

    def blocks(self) -> Iterator[Block]:
        """All columns, in order."""
        width = block_width(self._batch, self._places.device.type)
        starts = torch.arange(0, len(self) + width, width)
        bounds = torch.searchsorted(self._places, starts.to(self._places.device)).tolist()
        for i, start in enumerate(range(0, len(self), width)):
            here = slice(bounds[i], bounds[i + 1])
            yield Block(start, min(start + width, len(self)), self._rows[here], self._places[here] - start)

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

    def _numbers(self, places: Tensor) -> Tensor:
        return places if self._chosen is None else self._chosen[places]
