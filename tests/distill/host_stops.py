"""What a step would wait for on a GPU, found on torch's meta device, whose tensors have shapes and no values.

Whatever needs values on the host (item, nonzero, unique, a mask as an index) fails by itself there; copies to or from
the device that wait until they are done are counted.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from common import runtime
from distill import gradients, step
from distill.head import class_shard, head
from distill.run import window
from distill.terms import gathered, terms

META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Copies between devices that are not asked for as `non_blocking`."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name == "aten::_fused_sgd_":  # written for real devices alone, and it waits on none
            return None
        result = func(*args, **kwargs)
        if func._schema.name in ("aten::_to_copy", "aten::copy_"):
            source = args[1] if func._schema.name == "aten::copy_" else args[0]
            if source.device != result.device and not kwargs.get("non_blocking", False):
                self.found.append(str(func))
        return result


class MadeOfNumbers(TorchFunctionMode):
    """Tensors on the device made of the host's numbers: a copy that the dispatcher is not told of."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("new_tensor", "tensor", "as_tensor") and result.device == META:
            self.found.append(name)
        return result


@contextmanager
def counted_stops() -> Iterator[list[str]]:
    """The copies that wait, as they come; what asks for values raises."""
    no_autocast = mock.patch.object(torch, "autocast", return_value=nullcontext())  # the device has none
    with no_autocast, Copies() as copies, MadeOfNumbers(copies.found):
        yield copies.found


@contextmanager
def ranks_played(ranks: int, rank: int) -> Iterator[None]:
    """This process as one of several, whose collectives give the right shapes."""

    def gather(x: Tensor) -> Tensor:
        return torch.cat([x] * ranks)

    with ExitStack() as patches:
        patches.enter_context(mock.patch.object(torch.distributed, "all_reduce"))
        for module in (class_shard, head, runtime, window, gathered, terms):
            patches.enter_context(mock.patch.object(module, "gather_rows", gather))
        for module in (class_shard, runtime, gradients, step, gathered, terms):
            patches.enter_context(mock.patch.object(module, "world_size", return_value=ranks))
        for module in (class_shard, head, runtime, step, gathered, terms):
            patches.enter_context(mock.patch.object(module, "rank", return_value=rank))
        yield
