"""How fast a step is beside what the card's memory allows."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.finding import Finding, at_least, at_most, measured, needs_card
from benchmarks.gpu.place import Place
from benchmarks.gpu.steps import DIM, HEADS, batch_of, new_trainer, seconds_a_step, wait_for
from common.backbones import build_backbone

# Of the faces that bandwidth allows: eager kernels leave some on the table, a step that waits for the host most.
SHARE = 0.33
STUDENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("distilled", {"precision": "float32"}),
    ("distilled", {"precision": "float32", "channels_last": False}),
    ("distilled", {"precision": "bfloat16"}),
    ("distilled", {"precision": "bfloat16", "channels_last": False}),
    ("distilled", {"precision": "float16"}),
    ("learned", {"precision": "bfloat16"}),
    ("sampled", {"precision": "bfloat16"}),
)


def students(place: Place) -> Iterator[Finding]:
    """Steps without a loader: faces/s, and the share of what bandwidth allows; bfloat16 and its layout have to pay."""
    backbone, rows, classes = ("mobilefacenet", 384, 85_742) if place.card else ("mobilefacenet_0.25", 8, 500)
    rate = bandwidth(place) if place.card else 0.0
    if place.card:
        yield measured("bytes a second that a copy moves", rate / 1e9, "{:,.0f} GB/s")
    with torch.device("meta"):
        numbers = traffic(build_backbone(backbone, DIM), torch.empty(1, 3, 112, 112))
    pace: dict[tuple[str, ...], float] = {}
    for head, train in STUDENTS:
        if train["precision"] == "float16" and not place.card:
            continue
        layout = "channels first" if train.get("channels_last") is False else "channels last"
        key = (head, train["precision"], layout)
        if place.card:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(place.device)
        trainer = new_trainer(place.device, HEADS[head], classes, backbone, **train)
        batches = [batch_of(trainer, rows, classes, seed) for seed in range(4)]
        steps, warm = (40, 10) if place.card else (2, 1)
        pace[key] = rows / seconds_a_step(trainer, batches, steps, warm)
        del trainer
        yield from shown(place, ", ".join(key), pace[key], rate, numbers * bytes_of(train["precision"]))
    if not place.card:
        yield needs_card("the share of its bandwidth that a step takes")
        return
    low, full = pace["distilled", "bfloat16", "channels last"], pace["distilled", "float32", "channels last"]
    yield at_least("bfloat16 against float32", low / full, 1.2)
    first = pace["distilled", "bfloat16", "channels first"]
    yield at_least("channels last against channels first, bfloat16", low / first, 1.0)


def shown(place: Place, what: str, pace: float, rate: float, face: float) -> Iterator[Finding]:
    """face: bytes that a face moves."""
    yield measured(what, pace, "{:,.0f} faces/s")
    if place.card:
        allowed = rate / face
        note = f"of {allowed:,.0f} faces/s at {face / 2**20:.0f} MiB a face"
        yield at_least(f"{what}: share of what bandwidth allows", pace / allowed, SHARE, "{:.2f}", note)
        peak = torch.cuda.max_memory_allocated(place.device) / 2**30
        whole = torch.cuda.get_device_properties(place.device).total_memory / 2**30
        yield at_most(f"{what}: GiB at the peak", peak, whole, "{:.1f}")


def bytes_of(precision: str) -> int:
    """Of a feature map's number."""
    return 4 if precision == "float32" else 2


def bandwidth(place: Place) -> float:
    """Bytes a second that are read and written by copying 2 GiB on the card; the median of ten copies."""
    source = torch.empty(2**31, dtype=torch.uint8, device=place.device)
    target = torch.empty_like(source)
    milliseconds = []
    for _ in range(12):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        target.copy_(source)
        ended.record()
        wait_for(place.device)
        milliseconds.append(began.elapsed_time(ended))
    return 2 * len(source) / (float(sorted(milliseconds[2:])[5]) / 1e3)


def traffic(network: nn.Module, face: torch.Tensor) -> int:
    """Numbers that the layers of a training step read and write a face, forward and backward, each layer for itself.

    Forward: a convolution reads its input and writes its output; a batch norm reads twice (statistics, then the
    normalising) and writes; a PReLU reads and writes. Backward: a convolution reads the gradient twice and its input
    once and writes a gradient; a batch norm reads input and gradient twice and writes; a PReLU reads both and writes.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        match layer:
            case nn.Conv2d() | nn.Linear():
                total += 3 * inputs[0].numel() + 3 * output.numel()
            case nn.modules.batchnorm._BatchNorm():
                total += 8 * output.numel()
            case _:
                total += 5 * output.numel()

    counted = (nn.Conv2d, nn.Linear, nn.PReLU, nn.modules.batchnorm._BatchNorm)
    for layer in network.modules():
        if isinstance(layer, counted):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(face)
    return total
