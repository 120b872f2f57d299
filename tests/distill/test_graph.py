"""train.graphs as far as a CPU goes: a tape of a step's operations stands in for a CUDA graph of its launches."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from common.config import TrainConfig
from common.errors import ConfigError
from distill.graph import EAGER_STEPS, StepGraph, refuse_graphs
from distill.head import build_head
from distill.run.window import Window
from distill.step import Trainer
from tests.distill.small_runs import CPU, equal
from tests.distill.test_step import DIM, ROWS, Student, batch
from tests.tiny import experiment

STEPS, CLASSES = EAGER_STEPS + 6, 40  # more than the batches show


class Tape(TorchDispatchMode):
    """Operations as they were called; played again on the same tensors, with nothing of Python between them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, list[Any]]] = []
        self.plays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {memory(x) for x in tree_leaves((args, kwargs))}
        made = [None if memory(x) in given else x for x in tree_leaves(result)]
        if func.namespace != "profiler":
            self.calls.append((func, args, kwargs or {}, made))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Capture has computed already, which a GPU's does not: so the first replay is not one."""
        self.plays += 1
        for func, args, kwargs, made in self.calls if self.plays > 1 else ():
            for kept, new in zip(made, tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(kept, torch.Tensor):
                    kept.copy_(new)


def memory(x: Any) -> int | None:
    return x.untyped_storage().data_ptr() if isinstance(x, torch.Tensor) else None


@pytest.fixture
def tapes(monkeypatch) -> list[Tape]:
    made: list[Tape] = []

    def tape() -> Tape:
        made.append(Tape())
        return made[-1]

    @contextmanager
    def capture(graph: Tape) -> Iterator[None]:
        with graph:
            yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", tape)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", mock.Mock())
    monkeypatch.setattr(torch.cuda, "current_stream", mock.Mock())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)  # its tensors cannot be written over
    return made


HEADS: list[dict[str, Any]] = [
    {"margin": "adaface", "centers": "distilled", "geometry": "live", "geometry_warmup": 1},
    {"margin": "adaface", "centers": "learned", "geometry": "live", "logits_mib": 0},
    {"margin": "arcface", "centers": "frozen", "precision": "bfloat16"},
    {"margin": "cosface", "centers": "learned", "sample_rate": 0.5},
]


def trainer(section: dict[str, Any], **train: Any) -> Trainer:
    torch.manual_seed(5)
    head = build_head(section, CLASSES, DIM)
    return Trainer(Student(True), head, TrainConfig(batch_size=ROWS, lr=0.1, **train), CPU, 1)


@pytest.mark.parametrize("section", HEADS, ids=lambda section: "-".join(map(str, section.values())))
def test_replayed_steps_are_the_steps(section, tapes):
    """Rates, warm-up of the geometry term, dropout and the decay of averages differ from step to step."""
    eager, replayed = trainer(section, ema=0.9), trainer(section, ema=0.9, graphs=True)
    for step in range(STEPS):
        expected, found = eager.step(batch(step), step, 10), replayed.step(batch(step), step, 10)
        assert {k: x.item() for k, x in found.items()} == {k: x.item() for k, x in expected.items()}
    assert [tape.plays for tape in tapes] == [STEPS - EAGER_STEPS]
    assert equal(replayed.state(), eager.state())


def test_a_loaded_state_is_not_stepped_on_by_a_graph_of_the_one_before(tapes):
    eager, replayed = trainer(HEADS[0]), trainer(HEADS[0], graphs=True)
    start = trainer(HEADS[0]).state()
    start["head"]["centers.weight"] = torch.randn(CLASSES, DIM)
    eager.load_state(start)
    for step in range(STEPS):
        replayed.step(batch(step), step, 10)
    replayed.load_state(start)
    for step in range(STEPS):
        eager.step(batch(step), step, 10)
        replayed.step(batch(step), step, 10)
    assert equal(replayed.state(), eager.state())


def test_a_window_keeps_the_numbers_of_steps_that_are_written_over(tapes):
    eager, replayed = (Window(), trainer(HEADS[0])), (Window(), trainer(HEADS[0], graphs=True))
    for step in range(STEPS):
        for window, trained in (eager, replayed):
            window.add(batch(step), trained.step(batch(step), step, 10))
    means = [window.close(STEPS, torch.tensor(1.0), 1).numbers()[0] for window, _ in (eager, replayed)]
    assert means[0]["loss"] == means[1]["loss"]


def test_another_size_of_batch_is_captured_anew(tapes):
    graph = StepGraph(lambda x, y: {"sum": x.sum() if y is None else (x * y).sum()}, CPU)
    for rows in (3, 5):
        for _ in range(EAGER_STEPS + 2):
            x = torch.randn(rows)
            torch.testing.assert_close(graph(x, x)["sum"], (x * x).sum())
            assert graph._inputs[0] is not x
    torch.testing.assert_close(graph(x, None)["sum"], x.sum())
    assert len(tapes) == 2


@pytest.mark.parametrize(
    ("sections", "device", "ranks", "message"),
    [
        ({}, "cpu", 1, "train.graphs needs a CUDA device, not cpu: set it to false"),
        ({}, "cuda", 2, "train.graphs captures no exchange between ranks, and there are 2"),
        ({"train": {"accumulate": 2}}, "cuda", 1, "train.graphs with train.accumulate = 2"),
    ],
)
def test_what_cannot_be_captured_is_refused_by_name(sections, device, ranks, message):
    sections = {**sections, "train": {"graphs": True, **sections.get("train", {})}}
    with pytest.raises(ConfigError, match=message):
        refuse_graphs(experiment(**sections), torch.device(device), ranks)


def test_what_can_be_captured_is_not_refused():
    refuse_graphs(experiment(train={"graphs": True}), torch.device("cuda"), 1)
    refuse_graphs(experiment(), CPU, 4)
