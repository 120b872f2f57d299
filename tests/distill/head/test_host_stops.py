"""On a GPU the host never waits for the head: tried on torch's meta device, whose tensors have shapes and no values."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from distill.head import columns
from distill.head.head import build_head
from tests.distill.host_stops import META, counted_stops, ranks_played

ROWS, CLASSES, DIM, RANKS = 6, 40, 16, 4


@pytest.fixture
def copies() -> Iterator[list[str]]:
    with counted_stops() as found:
        yield found


def stops(section: dict[str, Any], copies: list[str], ranks: int = 1) -> list[str]:
    """The copies of a head's second step; raises where values are asked for."""
    with META:
        head = build_head(section, CLASSES, DIM)
        rows = ROWS * ranks if head.config.split_classes else ROWS
        f_t = torch.randn(rows, DIM) if head.config.reads_teacher else None
        confidence = torch.rand(rows) if head.config.geometry == "cached" else None
        labels = torch.zeros(rows, dtype=torch.int64)
        for step in range(2):
            copies.clear()
            out = head(torch.randn(ROWS, DIM, requires_grad=True), f_t, labels, 0.5, confidence, step)
            assert out.loss.device == META
            out.loss.backward()
    return copies


GRID = [
    {"margin": margin, "centers": centers, "geometry": geometry}
    for margin in ("none", "arcface", "cosface", "adaface")
    for centers in ("distilled", "frozen", "learned")
    for geometry in ("off", "live", "cached", "static")
    if margin == "adaface" or geometry == "off"
]


@pytest.mark.parametrize("options", [{}, {"logits_mib": 0}, {"precision": "bfloat16"}, {"sample_rate": 0.5}])
def test_no_head_waits_for_its_device(options, copies, monkeypatch):
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 7)
    for section in GRID:
        assert stops(section | options, copies) == [], section


@pytest.mark.parametrize("options", [{}, {"sample_rate": 0.5}])
def test_no_head_with_classes_split_over_ranks_waits_for_its_device(options, copies):
    with ranks_played(RANKS, 1):
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
    assert copies
