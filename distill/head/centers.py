"""Class centres: moved towards the teacher (distilled), kept (frozen), or trained (learned).

centers.weight          (C,D) raw centres; with split classes this rank's part of them
centers.unit(which)     their directions, what logits are made of
centers.state_dict()    of this rank's part: ShardedRows, which write all C centres; it loads from all C
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.config import HeadPrecision
from distill.head.class_shard import ClassShard, keep_whole

INIT_STD = 0.01
_ROWS = 1 << 14  # centres drawn or normalised at a time


class LearnedCenters(nn.Module):
    """Centres that are parameters of the optimiser, as in standalone ArcFace, CosFace and AdaFace."""

    weight: Tensor

    def __init__(self, shard: ClassShard, dim: int) -> None:
        super().__init__()
        self.shard = shard
        self.weight = nn.Parameter(_random(shard, dim))
        keep_whole(self, shard, "weight")

    def unit(self, which: slice | Tensor = slice(None)) -> Tensor:
        """Directions (n,D) of centres by their number here; made anew, since every step moves them all."""
        return F.normalize(self.raw(which))

    def raw(self, which: slice | Tensor) -> Tensor:
        """Centres (n,D) by their number here."""
        return self.weight.detach()[which]

    @property
    def trained(self) -> Tensor:
        """What the loss gives its gradient to, in the order of the columns."""
        return self.weight

    def raw_gradient(self, which: slice | Tensor, unit_gradient: Tensor) -> Tensor:
        """Gradient of raw centres (n,D) from that of their directions: its tangential part over their length."""
        raw = self.raw(which)
        norm = raw.norm(dim=1, keepdim=True).clamp_min(1e-12)
        unit = raw / norm
        return unit_gradient.sub_(unit.mul_((unit * unit_gradient).sum(1, keepdim=True))).div_(norm)


class KeptCenters(nn.Module):
    """Centres without gradient or optimiser state; directions are kept and made anew only where a centre moved."""

    weight: Tensor

    def __init__(self, shard: ClassShard, dim: int, precision: HeadPrecision = "float32") -> None:
        """precision: of the kept directions; `float32` keeps the centres' own."""
        super().__init__()
        self.shard = shard
        self.register_buffer("weight", _random(shard, dim))
        self._low = precision == "bfloat16"
        self._unit: Tensor | None = None
        self._normalised: tuple[int, int] | None = None
        keep_whole(self, shard, "weight")

    def unit(self, which: slice | Tensor = slice(None)) -> Tensor:
        """Directions (n,D) of centres by their number here."""
        if self._unit is None or self._normalised != self._state():
            self._unit = torch.empty_like(self.weight, dtype=torch.bfloat16 if self._low else self.weight.dtype)
            for rows, unit in zip(self.weight.split(_ROWS), self._unit.split(_ROWS), strict=True):
                unit.copy_(F.normalize(rows))
            self._normalised = self._state()
        return self._unit[which]

    def raw_gradient(self, which: slice | Tensor, unit_gradient: Tensor) -> Tensor:
        raise AssertionError("these centres have no gradient")

    @property
    def trained(self) -> Tensor:
        """As of learned centres; these ask for no gradient."""
        return self.weight

    @torch.no_grad()
    def move(self, labels: Tensor, alpha: Tensor, unit_t: Tensor) -> None:
        """`move_centers` on those held here, from all rows of the global batch; only what moved is normalised again."""
        places, held = self.shard.locate(labels)
        unit = self.unit()
        moved = move_centers(self.weight, places, alpha, unit_t, held)
        unit[moved] = F.normalize(self.weight[moved]).to(unit.dtype)
        self._normalised = self._state()

    def _state(self) -> tuple[int, int]:
        """Changes whenever the raw centres are written to, or replaced, by anybody."""
        return self.weight.data_ptr(), self.weight._version


@torch.no_grad()
def move_centers(weight: Tensor, labels: Tensor, alpha: Tensor, unit_t: Tensor, held: Tensor | None = None) -> Tensor:
    """w_y <- alpha * w_y + (1 - alpha) * v for every row of the global batch, in place; (B,) the classes moved.

    weight: (C,D); labels, alpha: (B,); unit_t: (B,D) unit teacher embeddings v (Boutros et al., AdaDistill, ECCV
    2024, eq. 6). held: bool (B,), rows that count, None for all. The moved centre is not renormalised. A class that
    occurs several times takes the mean of its rows' updates, all from the old centre: no order among equals.
    """
    if held is None:
        held = torch.ones_like(labels, dtype=torch.bool)
    classes, order = torch.where(held, labels, len(weight)).sort(stable=True)
    held = held[order]
    # Equal classes are neighbours now: bags whose means are sums in one order, the same on every rank and device.
    bag = torch.cat([classes.new_zeros(1), (classes[1:] != classes[:-1]).cumsum(0)])
    begins = torch.searchsorted(bag, torch.arange(len(bag), device=bag.device))
    rows = torch.cat([alpha[:, None], (1 - alpha)[:, None] * unit_t], 1)
    keep, pull = F.embedding_bag(order, rows, begins, mode="mean")[bag].split([1, rows.shape[1] - 1], 1)
    # Every row writes, so that shapes never depend on values: rows of one class the same numbers, and rows that do not
    # count those of the first row, which leaves its centre where it is if none counts.
    classes = torch.where(held, classes, torch.where(held[:1], classes[:1], 0))
    moved = torch.where(held[:, None], keep * weight[classes] + pull, weight[classes])
    weight[classes] = torch.where(held[:, None], moved, moved[:1])
    return classes


def _random(shard: ClassShard, dim: int) -> Tensor:
    """This part's rows of the centres that torch's generator gives, the same however the classes are split."""
    weight = torch.empty(len(shard), dim)
    for start in range(0, shard.classes, _ROWS):
        rows = torch.randn(min(_ROWS, shard.classes - start), dim).mul_(INIT_STD)
        low, high = max(start, shard.first), min(start + len(rows), shard.first + len(shard))
        if low < high:
            weight[low - shard.first : high - shard.first] = rows[low - start : high - start]
    return weight
