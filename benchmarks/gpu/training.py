"""Whole steps, student and head, on batches of nothing: losses, the gradient scaler, the same bits."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.finding import Finding, at_least, at_most, holds, measured, needs_card
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import HEADS, batch_of, losses, new_trainer, seconds_a_step
from distill.deterministic import deterministic_algorithms

STEPS = 5
CPU = torch.device("cpu")
# Of the first loss and of the worst of five, relative. The first says whether a step computes the same; rounding then
# grows from step to step.
BOUNDS = {"float32": (1e-4, 5e-2), "tf32": (1e-3, 1e-1), "bfloat16": (2e-2, 2e-1), "float16": (5e-3, 1e-1)}


def sizes(place: Place) -> tuple[str, int, int]:
    """Backbone, rows of a batch, classes."""
    return ("mobilefacenet_0.5", 64, 2000) if place.card else ("mobilefacenet_0.25", 8, 300)


def first_losses(place: Place) -> Iterator[Finding]:
    """Five steps against the CPU's in float32 and torch's own memory format."""
    for name in HEADS:
        reference = first(place, CPU, name, precision="float32", channels_last=False)
        for precision in ("float32", "tf32", "bfloat16"):
            if precision == "tf32" and not place.card:
                continue
            taken = "float32" if precision == "tf32" else precision
            with_tf32 = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = precision != "float32"
            found = first(place, place.device, name, precision=taken)
            torch.backends.cudnn.allow_tf32 = with_tf32
            yield near(f"{name}, {precision}", found, reference, BOUNDS[precision])


def near(what: str, found: Tensor, reference: Tensor, bounds: tuple[float, float]) -> Finding:
    """The first loss and the worst one, each with its bound."""
    off = (found / reference - 1).abs()
    first_off, worst = float(off[0]), float(off.max())
    kept = first_off <= bounds[0] and worst <= bounds[1]
    figure = f"loss off by {first_off:.1e} at first, {worst:.1e} within {len(off)} steps"
    return holds(what, kept, figure, f"at most {bounds[0]:.0e}, {bounds[1]:.0e}")


def first(place: Place, device: torch.device, head: str, **train: Any) -> Tensor:
    """Losses of the first steps."""
    backbone, rows, classes = sizes(place)
    trainer = new_trainer(device, HEADS[head], classes, backbone, **train)
    return losses(trainer, [batch_of(trainer, rows, classes, seed) for seed in range(STEPS)])


def scaler(place: Place) -> Iterator[Finding]:
    """float16: near the CPU's losses, and no step lost once the scale has settled. The row `resume` restarts it."""
    if not place.card:
        yield needs_card("the gradient scaler")
        return
    reference = first(place, CPU, "distilled", precision="float32")
    found = first(place, place.device, "distilled", precision="float16")
    yield near("distilled, float16", found, reference, BOUNDS["float16"])
    backbone, rows, classes = sizes(place)
    trainer = new_trainer(place.device, HEADS["distilled"], classes, backbone, precision="float16")
    lost = []
    for step in range(40):
        before = [parameter.detach().clone() for parameter in trainer.student.parameters()]
        norm = trainer.step(batch_of(trainer, rows, classes, step), step, 1000)["gradient_norm"]
        moved = any(not torch.equal(a, b) for a, b in zip(before, trainer.student.parameters(), strict=True))
        lost.append(not bool(torch.isfinite(norm)))
        if lost[-1] == moved:
            yield holds("a step that overflows moves nothing", False, f"step {step}: norm {float(norm)}", "all or none")
            return
    yield holds("a step that overflows moves nothing", True, f"{sum(lost)} of 40 left out", "all or none")
    yield at_most("steps left out from the 20th on", sum(lost[20:]), 1, "{:.0f}")
    yield at_least("the scale after 40 steps", trainer.scaler.get_scale(), 1.0, "{:,.0f}")


def deterministic(place: Place) -> Iterator[Finding]:
    """Ten steps twice: every bit with train.deterministic, and what it costs. The row `resume` kills such a run."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # before cuBLAS is first used
    backbone, rows, classes = ("mobilefacenet", 384, 85_742) if place.card else sizes(place)
    for name in HEADS:
        for precision in ("float32", "bfloat16"):
            with deterministic_algorithms(True):
                runs = [ten_steps(place, name, precision) for _ in range(2)]
            off = float((runs[0].double() - runs[1].double()).abs().max())
            yield at_most(f"{name}, {precision}: largest difference after ten steps, twice", off, 0.0, "{:.0e}")
    seconds = []
    for wanted in (False, True):
        with deterministic_algorithms(wanted):
            trainer = new_trainer(place.device, HEADS["distilled"], classes, backbone, precision="bfloat16")
            batches = [batch_of(trainer, rows, classes, seed) for seed in range(2)]
            seconds.append(seconds_a_step(trainer, batches, 20 if place.card else 3, 5 if place.card else 1))
            del trainer
    yield measured("distilled, bfloat16: time of a step against that without", seconds[1] / seconds[0], "{:.2f}")


def ten_steps(place: Place, head: str, precision: str) -> Tensor:
    """All weights and centres after ten steps, on the CPU."""
    backbone, rows, classes = sizes(place)
    trainer = new_trainer(place.device, HEADS[head], classes, backbone, precision=precision)
    losses(trainer, [batch_of(trainer, rows, classes, seed) for seed in range(10)])
    weights = [*trainer.student.parameters(), trainer.head.centers.weight]
    return torch.cat([weight.detach().flatten() for weight in weights]).cpu()
