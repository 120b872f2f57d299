"""Tiny trainings: here, in a process to be killed, and on several ranks; forked, for torch takes long to import."""

import contextlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file

from distill.run import checkpoints
from distill.train import train
from tests.tiny import experiment

CPU = torch.device("cpu")
TIMINGS = ("faces_per_second", "data_wait")
_groups = itertools.count()


def run(name: str, **sections: Any) -> dict[str, torch.Tensor]:
    """Train `name` to its end from the world's cache; the exported weights."""
    config = experiment(name=name, cache={"path": "caches/tiny"}, **sections)
    return load_file(train(config, Path("data"), CPU, 1))


def curves(name: str) -> list[dict]:
    """The run's numbers without its pace."""
    lines = [json.loads(line) for line in Path(f"runs/{name}/metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def final_state(name: str) -> dict[str, Any]:
    """The newest checkpoint, without what a clock decided."""
    state = checkpoints.latest(Path(f"runs/{name}/checkpoints"))
    assert state is not None
    return {key: value for key, value in state.items() if key != "seconds"}


def equal(a: Any, b: Any) -> bool:
    """Whether two nested states are equal, tensors bit for bit."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def start(name: str, **sections: Any) -> multiprocessing.Process:
    """The same training in a process of its own, to be killed."""

    def quietly() -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            run(name, **sections)

    process = multiprocessing.get_context("fork").Process(target=quietly)
    process.start()
    return process


def on_ranks(ranks: int, function: Callable, *arguments: Any) -> None:
    """function(rank, *arguments) on that many gloo ranks; raises when one of them fails."""
    rendezvous = f"file://{Path.cwd()}/rendezvous{next(_groups)}"
    mp.start_processes(_rank, (ranks, rendezvous, function, arguments), nprocs=ranks, start_method="fork")


def _rank(rank: int, ranks: int, rendezvous: str, function: Callable, arguments: tuple) -> None:
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    function(rank, *arguments)
    dist.destroy_process_group()
