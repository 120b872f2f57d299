"""Partial FC: a step's softmax over the classes of its batch and a random sample of the others.

An et al., Partial FC: Training 10 Million Identities on a Single Machine (ICCV workshops 2021). The sample is a
function of (seed, step) and of the batch's classes alone, so ranks, splits and restarts take the same one. It is made
on the device, in time that grows with its size, and every step's has the same shapes.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from common.errors import ConfigError
from distill.head.class_order import ClassOrder
from distill.head.class_shard import ClassShard


class Sample(NamedTuple):
    """The classes of a step that are held here.

    rows: int64 (n,), their numbers here, none twice. columns: int64 (B,), where among them the class of each row of the
    batch is, if it is held here. filler: bool (n,), places that are no class of the sample, for a split sample has
    different numbers of classes in different steps; they are the last and repeat the first row. None where there are
    none.
    """

    rows: Tensor
    columns: Tensor
    filler: Tensor | None = None


def sample_size(rate: float, classes: int) -> int | None:
    """Classes a step takes of all, None for rate 1; raises ConfigError where a rate below 1 leaves none out."""
    size = max(1, round(rate * classes))
    if rate < 1 and size == classes:
        raise ConfigError(f"head.sample_rate = {rate} has no effect: it takes all {classes} classes: remove it")
    return size if rate < 1 else None


def sample_classes(labels: Tensor, shard: ClassShard, size: int, seed: int, step: int | Tensor) -> Sample:
    """`size` classes, those of the labels (B,) of the global batch among them, the others all equally likely.

    As many as the batch has rows where that is more: a size that does not depend on values has room for all of them.
    """
    classes = shard.classes
    size = max(size, min(len(labels), classes))
    order = ClassOrder(classes, seed, step, labels.device)
    drawn = order.first(size + order.spare)  # at least `size` of them are classes
    places, number = order.places(labels).sort()
    own = labels[number]
    fresh = torch.cat([torch.ones_like(places[:1], dtype=torch.bool), places[1:] != places[:-1]])
    early = places < len(drawn)

    positive = torch.zeros(len(drawn) + 1, dtype=torch.bool, device=labels.device)
    positive = positive.index_fill_(0, places.clamp(max=len(drawn)), True)[:-1]
    other = (drawn < classes) & ~positive
    other &= other.cumsum(0) <= size - fresh.sum()
    # Classes of the batch that the order has later than all these come behind them.
    taken = torch.cat([positive | other, fresh & ~early])
    candidates = torch.cat([drawn, own]) - shard.first
    if shard.parts > 1:
        taken &= (candidates >= 0) & (candidates < len(shard))

    # What is taken moves up, the rest falls into a place behind the last.
    width = _width(shard, size, len(labels))
    column = taken.cumsum(0) - 1
    rows = candidates.new_zeros(width + 1).scatter_(0, torch.where(taken, column, width).clamp(max=width), candidates)
    rows = rows[:-1]
    # A class that came late and repeats is not counted again: its rows find the column of the first.
    late = torch.arange(len(labels), device=labels.device) + len(drawn)
    columns = torch.empty_like(places).scatter_(0, number, column[torch.where(early, places, late)])
    if shard.parts == 1:
        return Sample(rows, columns)
    count = taken.sum()
    torch._assert_async(count <= width)
    filler = torch.arange(width, device=labels.device) >= count
    return Sample(torch.where(filler, rows[:1], rows), columns.clamp(0, width - 1), filler)


def _width(shard: ClassShard, size: int, batch: int) -> int:
    """Columns for this part's share of any sample but one in 1e15 (Hoeffding 1963), whatever its classes are."""
    if shard.parts == 1:
        return size
    share = size * len(shard) / shard.classes
    return min(len(shard), size, math.ceil(share + math.sqrt(size * math.log(1e15) / 2)) + batch)
