"""What makes the host wait for the card within a step."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu.finding import Finding, at_most, needs_card
from benchmarks.gpu.place import ROOT, Place
from benchmarks.gpu.steps import HEADS, STEPS_PER_EPOCH, batch_of, new_trainer
from distill.run import Window

STEADY = 2
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {"precision": "float32"}) for name in HEADS),
    ("distilled", {"precision": "bfloat16"}),
    ("distilled", {"precision": "bfloat16", "ema": 0.999, "accumulate": 2}),
)


def host_stops(place: Place) -> Iterator[Finding]:
    """None in a step that is not the first: set_sync_debug_mode tells, with the line that asked for it.

    Not counted is float16, whose scaler has to look whether gradients are finite.
    """
    for name, train in VARIANTS:
        told = ", ".join([name, *(f"{key} {value}" for key, value in train.items())])
        if not place.card:
            yield needs_card(f"{told}: host stops a step")
            continue
        found = stops(place.device, name, train)
        at = ", ".join(f"{line} {count} x" for line, count in found.most_common())
        yield at_most(f"{told}: host stops a step", sum(found.values()) / STEADY, 0, "{:.0f}", at)


def stops(device: torch.device, head: str, train: dict[str, Any]) -> Counter[str]:
    """FILE:LINE of every stop in `STEADY` steps after the first ones."""
    trainer = new_trainer(device, HEADS[head], 85_742, "mobilefacenet", **train)
    batches = [batch_of(trainer, 128, 85_742, seed) for seed in range(3 + STEADY)]
    window = Window()
    for step, batch in enumerate(batches[:3]):
        window.add(batch, trainer.step(batch, step, STEPS_PER_EPOCH))
    torch.cuda.synchronize(device)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        for step, batch in enumerate(batches[3:], 3):
            window.add(batch, trainer.step(batch, step, STEPS_PER_EPOCH))
        torch.cuda.set_sync_debug_mode("default")
    return Counter(
        f"{os.path.relpath(warning.filename, ROOT)}:{warning.lineno}"
        for warning in seen
        if "called a synchronizing CUDA operation" in str(warning.message)
    )
