"""Classes shared out over ranks: rank r of W holds classes C*r//W up to C*(r+1)//W.

Only what has the size of a batch travels: unit embeddings and norms (gathered), target cosines, softmax maxima and sums
(reduced), the gradient of the embeddings (summed). With one part nothing travels at all.

Saved states hold all C classes, so that any number of ranks can go on from them: in a state dict ShardedRows stand for
them, whose parts come to rank 0 block by block as it writes; loading cuts this rank's part out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from common.errors import ConfigError
from common.runtime import gather_rows, rank, world_size


@dataclass(frozen=True)
class ClassShard:
    """One rank's part of C classes."""

    classes: int
    part: int = 0
    parts: int = 1

    @classmethod
    def over_ranks(cls, classes: int) -> "ClassShard":
        """The part of this process. Raises ConfigError where a rank would hold none."""
        refuse_fewer_classes(classes, world_size())
        return cls(classes, rank(), world_size())

    @property
    def first(self) -> int:
        """The first class held here."""
        return self._bound(self.part)

    def __len__(self) -> int:
        return self._bound(self.part + 1) - self.first

    def _bound(self, part: int) -> int:
        return self.classes * part // self.parts

    def locate(self, labels: Tensor) -> tuple[Tensor, Tensor | None]:
        """int64 (B,) numbers of the rows' classes counted from `first`, and bool (B,) which of them are held here.

        None says all. A class of another rank gets a number all the same, so that shapes never depend on values.
        """
        if self.parts == 1:
            return labels, None
        local = labels - self.first
        return local.clamp(0, len(self) - 1), (local >= 0) & (local < len(self))

    def gather(self, x: Tensor) -> Tensor:
        """Rows of all ranks (W*B,...) from the rows of each (B,...)."""
        return gather_rows(x) if self.parts > 1 else x

    def rows_of_rank(self, x: Tensor) -> Tensor:
        """This rank's rows (B,...) of a global batch's (W*B,...)."""
        rows = len(x) // self.parts
        return x[self.part * rows : (self.part + 1) * rows]

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the parts, in place, equal on all ranks."""
        if self.parts > 1:
            dist.all_reduce(x)
        return x

    def max(self, x: Tensor) -> Tensor:
        """Largest over the parts, in place."""
        if self.parts > 1:
            dist.all_reduce(x, dist.ReduceOp.MAX)
        return x

    def share(self, x: Tensor) -> Tensor:
        """This rank's part (len,...) of something for all classes (C,...)."""
        return x[self.first : self.first + len(self)]


@dataclass(frozen=True)
class ShardedRows:
    """A tensor (C,...) of which every rank has its part (len,...)."""

    shard: ClassShard
    part: Tensor

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.shard.classes, *self.part.shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        return self.part.dtype

    def blocks(self, size: int) -> Iterator[Tensor]:
        """On rank 0 the numbers of all C rows in order, flat, at most `size` bytes at a time, the next in the place of
        the last; the others send theirs and get none. To be gone through on all ranks."""
        shard, flat = self.shard, self.part.detach().contiguous().flatten()
        numbers = max(1, size // flat.element_size())
        if shard.part > 0:
            for block in flat.split(numbers):
                dist.send(block, 0)
            return
        yield from flat.split(numbers)
        buffer = flat.new_empty(numbers)
        for other in range(1, shard.parts):
            left = len(ClassShard(shard.classes, other, shard.parts)) * self.part[0].numel()
            while left:
                block = buffer[: min(left, numbers)]
                dist.recv(block, other)
                yield block
                left -= len(block)


def refuse_fewer_classes(classes: int, ranks: int) -> None:
    """Raises ConfigError where a rank would hold no class."""
    if classes < ranks:
        raise ConfigError(
            f"head.split_classes: {classes} classes do not give each of {ranks} ranks one: set it to false"
        )


def keep_whole(module: nn.Module, shard: ClassShard, name: str) -> None:
    """Make state dicts of a module, whose tensor `name` is a part (len,D), those of the whole (C,D)."""
    if shard.parts == 1:
        return

    def gather(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
        state[f"{prefix}{name}"] = ShardedRows(shard, state[f"{prefix}{name}"])

    def cut(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
        if f"{prefix}{name}" in state:
            state[f"{prefix}{name}"] = shard.share(state[f"{prefix}{name}"])

    module.register_state_dict_post_hook(gather)
    module.register_load_state_dict_pre_hook(cut)


def keep_whole_momentum(optimiser: Optimizer, weight: Tensor, shard: ClassShard) -> None:
    """Likewise for what an optimiser remembers about a parameter that is a part."""
    if shard.parts == 1:
        return
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    number = next(i for i, parameter in enumerate(parameters) if parameter is weight)

    def rows(state: dict[str, Any], length: int) -> dict[str, Tensor]:
        """The entries with a row a class."""
        entries = state["state"].get(number, {})
        return {k: v for k, v in entries.items() if isinstance(v, Tensor) and v.ndim and len(v) == length}

    def gather(_: Optimizer, state: dict[str, Any]) -> None:
        whole = {name: ShardedRows(shard, part) for name, part in rows(state, len(shard)).items()}
        state["state"] = {**state["state"], number: {**state["state"].get(number, {}), **whole}}

    def cut(_: Optimizer, state: dict[str, Any]) -> None:
        part = {name: shard.share(whole) for name, whole in rows(state, shard.classes).items()}
        state["state"] = {**state["state"], number: {**state["state"].get(number, {}), **part}}

    optimiser.register_state_dict_post_hook(gather)
    optimiser.register_load_state_dict_pre_hook(cut)
