"""What the head saves over autograd on the plain formula, and that both give the same gradient.

    python benchmarks/head.py [--classes 85742] [--batch 256] [--dim 512] [--rounds 5] [--threads 1]
    python benchmarks/head.py --classes 2000000        # one step of ours in blocks, with its peak memory

A step is forward, backward and, for distilled centres, their update (ArcFace). Times are processor seconds, rounds
alternating; memory is what the peak resident size of a process of its own grows by during one step.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.spread import ratio_text
from distill.head import build_head

PLAIN_BELOW = 500_000  # classes; above, the plain formula does not fit into an ordinary machine
S, M = 64.0, 0.5


class PlainHead(nn.Module):
    """The formulas written down with torch's operations, one after the other."""

    def __init__(self, weight: Tensor, centers: str, precision: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=centers == "learned")
        self.distilled, self.low = centers == "distilled", precision == "bfloat16"

    def forward(self, f_s: Tensor, f_t: Tensor, labels: Tensor) -> Tensor:
        if self.distilled:
            with torch.no_grad():
                unit_t = F.normalize(f_t)
                lam = F.cosine_similarity(self.weight[labels], unit_t).clamp(1e-6, 1)
                alpha = (F.cosine_similarity(f_s, unit_t) * lam).clamp(1e-6, 1)[:, None]
                self.weight[labels] = alpha * self.weight[labels] + (1 - alpha) * unit_t
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            cos = F.linear(F.normalize(f_s), F.normalize(self.weight)).float().clamp(-1, 1)
        own = F.one_hot(labels, len(self.weight)).bool()
        return F.cross_entropy(S * torch.where(own, torch.cos(torch.acos(cos) + M), cos), labels)


def build(kind: str, centers: str, precision: str, weight: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A function (f_s, f_t, labels) -> loss over a copy of the centres; `kind` is plain or ours."""
    if kind == "plain":
        return PlainHead(weight.clone(), centers, precision)
    head = build_head({"margin": "arcface", "m": M, "s": S, "centers": centers, "precision": precision}, *weight.shape)
    with torch.no_grad():
        head.centers.weight.copy_(weight)
    return lambda f_s, f_t, labels: head(f_s, f_t, labels, 0.0).loss


def inputs(classes: int, batch: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """f_s, f_t, labels; no class twice, since the plain update would keep the last of them."""
    torch.manual_seed(1)
    return torch.randn(batch, dim) * 20, torch.randn(batch, dim), torch.randperm(classes)[:batch]


def step(head: Callable[[Tensor, Tensor, Tensor], Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """One step; returns the gradient of f_s."""
    if isinstance(head, nn.Module):
        head.zero_grad()
    f_s = batch[0].clone().requires_grad_()
    head(f_s, *batch[1:]).backward()
    assert f_s.grad is not None
    return f_s.grad


def resident(peak: bool) -> float:
    """MiB of this process: the most so far, or now."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def extra_memory(kind: str, centers: str, precision: str, sizes: tuple[int, int, int]) -> float:
    """MiB that a step adds to the peak resident size, measured in a process of its own."""
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    free = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, __file__, "--child", f"{kind},{centers},{precision}"]
    for name, value in zip(("--classes", "--batch", "--dim"), sizes, strict=True):
        command += [name, str(value)]
    return float(subprocess.run(command, env=free, capture_output=True, text=True, check=True).stdout)


def child(kind: str, centers: str, precision: str, sizes: tuple[int, int, int]) -> None:
    """Print what a step adds. The centres are there before; kept directions count as added."""
    batch, weight = inputs(*sizes), torch.randn(sizes[0], sizes[2])
    weight *= 0.01
    small = build(kind, centers, precision, weight[:8])
    step(small, (*batch[:2], batch[2] % 8))  # libraries initialise themselves
    head = build(kind, centers, precision, weight)
    before = resident(peak=False)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the preparations
    step(head, batch)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(peak.split()[1]) / 1024 - before)


def compare(sizes: tuple[int, int, int], rounds: int) -> None:
    """Ratios of time and memory, and the distance of the gradients, over centres x precision."""
    batch, weight = inputs(*sizes), torch.randn(sizes[0], sizes[2]) * 0.01
    for centers in ("distilled", "learned"):
        exact = None
        for precision in ("float32", "bfloat16"):
            heads = [build(kind, centers, precision, weight) for kind in ("plain", "ours")]
            plain, ours = (step(head, batch) for head in heads)
            exact = plain if exact is None else exact
            errors = [((gradient - exact).norm() / exact.norm()).item() for gradient in (plain, ours)]
            seconds: list[list[float]] = [[], []]
            for _ in range(rounds):
                for taken, head in zip(seconds, heads, strict=True):
                    began = time.process_time()
                    step(head, batch)
                    taken.append(time.process_time() - began)
            a, b = (statistics.median(taken) for taken in seconds)
            del heads
            c, d = (extra_memory(kind, centers, precision, sizes) for kind in ("plain", "ours"))
            print(
                f"{centers:9} {precision:8}  time {a:.2f} s / {b:.2f} s = {ratio_text(*seconds)}   "
                f"extra memory {c:,.0f} MiB / {d:,.0f} MiB = {c / d:.1f}   "
                f"gradient off float32 autograd by {errors[0]:.1e} (plain), {errors[1]:.1e} (ours)",
                flush=True,
            )


def one_step(sizes: tuple[int, int, int]) -> None:
    """A single step of ours, distilled centres, with the peak resident size of the whole process."""
    classes, batch, dim = sizes
    head = build_head({"margin": "arcface", "m": M, "s": S, "logits_mib": 256}, classes, dim)
    f_s, f_t, labels = inputs(*sizes)
    head.centers.unit()
    began = time.process_time()
    out = head(f_s.requires_grad_(), f_t, labels, 0.0)
    out.loss.backward()
    print(
        f"{classes:,} classes x {dim}, batch {batch}: loss {out.loss.item():.4f}, one step "
        f"{time.process_time() - began:.1f} s, peak resident size {resident(peak=True) / 1024:.2f} GiB"
    )


@click.command()
@click.option("--classes", default=85_742, show_default=True)
@click.option("--batch", default=256, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--child", "measured", hidden=True)
def main(classes: int, batch: int, dim: int, rounds: int, threads: int, measured: str | None) -> None:
    torch.set_num_threads(threads)
    sizes = (classes, batch, dim)
    if measured:
        kind, centers, precision = measured.split(",")
        child(kind, centers, precision, sizes)
    elif classes >= PLAIN_BELOW:
        one_step(sizes)
    else:
        compare(sizes, rounds)


if __name__ == "__main__":
    main()
