"""Heads alone: every recipe against float64 on the CPU, and as many classes as a step takes in blocks."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu.finding import Finding, at_most, holds, measured, needs_card
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import DIM, HEADS, batch_of, relative, seconds_a_step
from common.config import RECIPES, HeadConfig, TrainConfig
from distill.head import Head, HeadOutput, build_head
from distill.step import Trainer

STEPS = 3
# Of the loss, the gradients and the centres, relative to their length. bfloat16 keeps 8 bits of a product's factors.
BOUNDS = {"float32": (1e-5, 1e-4, 1e-5), "bfloat16": (1e-2, 2e-2, 1e-2)}
MANY = 2_000_000


class Result(NamedTuple):
    """Loss () of the last step, gradients of f_s and, where they are learned, of the centres, and centres (C,D)."""

    loss: Tensor
    gradient: Tensor
    centers: Tensor


def parity(place: Place) -> Iterator[Finding]:
    """A few steps of the head, with classes that meet several times in a batch."""
    rows, classes, dim = (64, 2000, DIM) if place.card else (16, 60, 64)
    for recipe in RECIPES:
        exact = head_steps({"recipe": recipe}, torch.device("cpu"), torch.float64, rows, classes, dim)
        for precision, bounds in BOUNDS.items():
            section = {"recipe": recipe, "precision": precision}
            found = head_steps(section, place.device, torch.float32, rows, classes, dim)
            yield compared(f"{recipe}, {precision}", found, exact, bounds)


def compared(what: str, found: Result, exact: Result, bounds: tuple[float, float, float]) -> Finding:
    """All three, each with its bound."""
    values = [relative(value, reference) for value, reference in zip(found, exact, strict=True)]
    kept = all(value <= bound for value, bound in zip(values, bounds, strict=True))
    loss, gradient, centers = values
    figure = f"loss off by {loss:.1e}, gradients {gradient:.1e}, centres {centers:.1e}"
    return holds(what, kept, figure, "at most " + ", ".join(f"{bound:.0e}" for bound in bounds))


def head_steps(
    section: Mapping[str, Any], device: torch.device, dtype: torch.dtype, rows: int, classes: int, dim: int
) -> Result:
    """The same steps for every device and type: centres, embeddings and labels are drawn on the CPU."""
    generator = torch.Generator().manual_seed(0)
    head = build_head(section, classes, dim)
    centers = F.normalize(torch.randn(classes, dim, generator=generator))
    with torch.no_grad():
        head.centers.weight.copy_(centers)
    head = head.to(device, dtype).train()
    for step in range(STEPS):
        labels = torch.randint(0, classes // 4, (rows,), generator=generator)
        # Teachers around their centres, students at any angle to their teacher and of any length: else margin scaler
        # and geometry term are the same for all rows, or 0.
        f_t = F.normalize(centers[labels] + 0.8 * noise(rows, dim, generator))
        spread, length = torch.rand(2, rows, 1, generator=generator)
        f_s = (1 + 60 * length) * F.normalize(f_t + 3 * spread * noise(rows, dim, generator))
        f_s = f_s.to(device, dtype).requires_grad_()
        confidence = torch.rand(rows, generator=generator).to(device, dtype)
        head.zero_grad()
        loss = run_head(head, f_s, f_t.to(device, dtype), labels.to(device), confidence, step)
        loss.backward()
    assert f_s.grad is not None
    learned = [x.grad.flatten() for x in head.parameters() if x.grad is not None]
    return Result(loss.detach(), torch.cat([f_s.grad.flatten(), *learned]), head.centers.weight.detach())


def noise(rows: int, dim: int, generator: torch.Generator) -> Tensor:
    """(rows,dim), of length about 1."""
    return torch.randn(rows, dim, generator=generator) / math.sqrt(dim)


def run_head(head: Head, f_s: Tensor, f_t: Tensor, labels: Tensor, confidence: Tensor, step: int) -> Tensor:
    """Its loss, given what its recipe reads."""
    config: HeadConfig = head.config
    read = f_t if config.reads_teacher else None
    output: HeadOutput = head(
        f_s, read, labels, 2.0 + step / 10, confidence if config.geometry == "cached" else None, step
    )
    return output.loss


def blocks(place: Place) -> Iterator[Finding]:
    """Logits in blocks: on a card over 2 million classes; on a CPU over few, whose logits may take no memory at all."""
    if not place.card:
        for name, section in HEADS.items():
            section = {**section, "logits_mib": 0}
            exact = head_steps(section, torch.device("cpu"), torch.float64, 16, 20_000, 64)
            found = head_steps(section, place.device, torch.float32, 16, 20_000, 64)
            yield compared(f"{name}, 20,000 classes, no logits kept", found, exact, BOUNDS["float32"])
        yield needs_card(f"{MANY:,} classes: memory and time of a step")
        return
    torch.manual_seed(0)
    centers = F.normalize(torch.randn(MANY, DIM, device=place.device)).cpu()
    reference: dict[str, float] = {}
    for name, precision in (*((name, "float32") for name in HEADS), ("distilled", "bfloat16")):
        section = {**HEADS[name], "precision": precision}
        if name not in reference:
            reference[name] = many_classes(section, centers, torch.device("cpu"), 16)
        loss = many_classes(section, centers, place.device, 16)
        off = abs(loss / reference[name] - 1)
        yield at_most(f"{name}, {precision}, {MANY:,} classes: loss", off, 1e-2 if precision == "bfloat16" else 1e-4)
        yield from cost(name, section, centers, place.device)


def many_classes(section: Mapping[str, Any], centers: Tensor, device: torch.device, rows: int) -> float:
    """The loss of one step of `rows` faces."""
    head = with_centers(section, centers, device)
    generator = torch.Generator().manual_seed(1)
    f_t = torch.randn(rows, DIM, generator=generator)
    labels = torch.randint(0, len(centers), (rows,), generator=generator)
    with torch.no_grad():
        return float(run_head(head, 20 * f_t.to(device), f_t.to(device), labels.to(device), f_t[:, 0].to(device), 0))


def with_centers(section: Mapping[str, Any], centers: Tensor, device: torch.device) -> Head:
    """A head that starts at these centres; made on the device, where drawing its first ones takes no time."""
    classes, dim = centers.shape
    with device:
        head = build_head(section, classes, dim)
    with torch.no_grad():
        head.centers.weight.copy_(centers)
    head.to(device).train()
    return head


def cost(name: str, section: Mapping[str, Any], centers: Tensor, device: torch.device) -> Iterator[Finding]:
    """Peak memory and time of a step of 384 faces, the optimiser's included, without a student."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    # A student of one small layer: what counts is the head's.
    student = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(147, DIM))
    trainer = Trainer(student, with_centers(section, centers, device), TrainConfig(batch_size=384), device, 1)
    batches = [batch_of(trainer, 384, len(centers), seed) for seed in range(2)]
    seconds = seconds_a_step(trainer, batches, 6, 3)
    peak = (torch.cuda.max_memory_allocated(device) - before) / 2**30
    # Centres and their directions; learned ones have a gradient and a momentum as well. Beside them logits, two GiB.
    learned = trainer.head.config.centers == "learned"
    copies, whole = (4 if learned else 2), centers.numel() * 4 / 2**30
    told = f"{name}, {section['precision']}, {MANY:,} classes: "
    yield at_most(told + "GiB at the peak, without a student", peak, copies * whole + 3, "{:.1f}")
    yield measured(told + "a step of 384 faces", seconds * 1e3, "{:.1f} ms")
