"""Ways to run the same step that should change its time and nothing else."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch

from benchmarks.gpu.finding import Finding, at_least, at_most, needs_card
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import HEADS, batch_of, losses, new_trainer, seconds_a_step


def compiled(place: Place) -> Iterator[Finding]:
    """train.compile: kernels are fused, so rounding differs."""
    yield from against_eager(place, {"compile": True}, HEADS, 1e-3)


def graphs(place: Place) -> Iterator[Finding]:
    """train.graphs: the same kernels, launched at once; what differs is the order of atomic additions.

    Not for sampled classes, which are others every step.
    """
    yield from against_eager(place, {"graphs": True}, ("distilled", "learned"), 1e-4)


def against_eager(place: Place, train: dict[str, Any], heads: Iterable[str], bound: float) -> Iterator[Finding]:
    """Losses of twenty steps at a small rate, where rounding does not grow, and the pace of a full batch."""
    (option,) = train
    for name in heads:
        if not place.card:
            yield needs_card(f"{name}: train.{option}")
            continue
        found, pace = [], []
        for extra in ({}, train):
            trainer = new_trainer(
                place.device, HEADS[name], 85_742, "mobilefacenet", precision="bfloat16", lr=1e-3, lr_batch=0, **extra
            )
            batches = [batch_of(trainer, 384, 85_742, seed) for seed in range(4)]
            found.append(losses(trainer, [batches[step % 4] for step in range(20)]))
            pace.append(384 / seconds_a_step(trainer, batches, 40, 10))
            del trainer
            torch.cuda.empty_cache()
        eager, other = found
        yield at_most(f"{name}: losses of 20 steps", float((other / eager - 1).abs().max()), bound)
        note = f"{pace[1]:,.0f} against {pace[0]:,.0f} faces/s"
        yield at_least(f"{name}: pace against eager", pace[1] / pace[0], 1.0, "{:.2f}", note)
