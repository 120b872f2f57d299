"""On a GPU the host never waits for the head: tried on torch's meta device, whose tensors have shapes and no values."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from common import runtime
from distill.head import class_shard, columns
from distill.head import head as heads
from distill.head.head import build_head

ROWS, CLASSES, DIM, RANKS = 6, 40, 16, 4
META = torch.device("meta")


class Copies(TorchDispatchMode):
    """Counts copies to the device that wait until they are there.

    Whatever needs values on the host (item, nonzero, unique, a mask as an index) fails by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
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


@pytest.fixture
def copies(monkeypatch) -> Iterator[Copies]:
    monkeypatch.setattr(torch, "autocast", lambda *settings, **named: nullcontext())  # the device has none
    with Copies() as mode, MadeOfNumbers(mode.found):
        yield mode


def stops(section: dict[str, Any], copies: Copies, ranks: int = 1) -> list[str]:
    """The copies of a head's second step; raises where values are asked for."""
    with META:
        head = build_head(section, CLASSES, DIM)
        rows = ROWS * ranks if head.config.split_classes else ROWS
        f_t = torch.randn(rows, DIM) if head.config.reads_teacher else None
        confidence = torch.rand(rows) if head.config.geometry == "cached" else None
        labels = torch.zeros(rows, dtype=torch.int64)
        for step in range(2):
            copies.found.clear()
            out = head(torch.randn(ROWS, DIM, requires_grad=True), f_t, labels, 0.5, confidence, step)
            assert out.loss.device == META
            out.loss.backward()
    return copies.found


GRID = [
    {"margin": margin, "centers": centers, "geometry": geometry}
    for margin in ("none", "arcface", "cosface", "adaface")
    for centers in ("distilled", "frozen", "learned")
    for geometry in ("off", "live", "cached")
    if margin == "adaface" or geometry == "off"
]


@pytest.mark.parametrize("options", [{}, {"logits_mib": 0}, {"precision": "bfloat16"}, {"sample_rate": 0.5}])
def test_no_head_waits_for_its_device(options, copies, monkeypatch):
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 7)
    for section in GRID:
        assert stops(section | options, copies) == [], section


@pytest.mark.parametrize("options", [{}, {"sample_rate": 0.5}])
def test_no_head_with_classes_split_over_ranks_waits_for_its_device(options, copies, monkeypatch):
    def gather(x: Tensor) -> Tensor:
        return torch.cat([x] * RANKS)

    for module in (class_shard, heads, runtime):
        monkeypatch.setattr(module, "gather_rows", gather)
    monkeypatch.setattr(class_shard, "world_size", lambda: RANKS)
    monkeypatch.setattr(class_shard, "rank", lambda: 1)
    monkeypatch.setattr(class_shard.dist, "all_reduce", lambda x, *operation: None)
    for section in GRID:
        assert stops(section | options | {"split_classes": True}, copies, RANKS) == [], section


WAITING: dict[str, Callable[[Tensor], Any]] = {
    "a number": lambda x: x.sum().item(),
    "numbers": lambda x: x.tolist(),
    "a mask": lambda x: x[x > 0],
    "numbers without repeats": lambda x: x.unique(),
    "places": lambda x: x.nonzero(),
    "to the host": lambda x: x.cpu(),
    "from the host": lambda x: x.new_tensor(0.5),
    "an index": lambda x: x[torch.zeros(2, dtype=torch.int64).to(x.device)],
}


@pytest.mark.parametrize("name", WAITING)
def test_what_waits_is_noticed(name, copies):
    try:
        WAITING[name](torch.randn(4, device=META))
    except (RuntimeError, NotImplementedError):
        return
    assert copies.found
