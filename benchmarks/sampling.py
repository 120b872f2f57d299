"""What a step over a sample of the classes costs (Partial FC): the draw, and the memory and time of a whole step.

    python benchmarks/sampling.py [--rate 0.1] [--batch 256] [--rounds 9]              # draws, up to 10 million classes
    python benchmarks/sampling.py --step --classes 2000000 [--dim 512] [--rate 0.1]    # a step of learned centres

A draw is compared with the plain one: a Philox word for each class, the least of them found by partition, as this
project drew at first. A step is forward, backward and SGD with momentum, compared with the dense gradient: zeros for
all classes, of which SGD moves every one. Memory is what the peak resident size grows by, centres and momentum being
there.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from common.faces import words
from distill.head import build_head
from distill.head.class_shard import ClassShard
from distill.head.sampling import sample_classes


def plain_sample(labels: Tensor, classes: int, size: int, seed: int, step: int) -> Tensor:
    """Sorted classes of the least words, those of the labels first."""
    quarter = words(seed, 5, np.arange(-(-classes // 4)), step).ravel()[:classes]
    rank = quarter.astype(np.uint64) << np.uint64(31) | np.arange(classes, dtype=np.uint64)
    rank[np.unique(labels.cpu().numpy())] |= np.uint64(1 << 63)
    return torch.from_numpy(np.flatnonzero(rank >= np.partition(rank, classes - size)[classes - size]))


def draws(rate: float, batch: int, rounds: int) -> None:
    """Milliseconds of a draw: median and range of the rounds, the two alternating."""
    for classes in (85_742, 2_000_000, 10_000_000):
        size, taken = round(rate * classes), {"plain": [], "ours": []}
        labels = torch.randint(classes, (batch,))
        ways: dict[str, Callable[[int], object]] = {
            "plain": lambda step, y=labels, c=classes, n=size: plain_sample(y, c, n, 0, step),
            "ours": lambda step, y=labels, c=classes, n=size: sample_classes(y, ClassShard(c), n, 0, step),
        }
        for step in range(rounds + 1):
            for name, draw in ways.items():
                began = time.perf_counter()
                draw(step)
                taken[name].append(1e3 * (time.perf_counter() - began))
        (a, b), spread = (
            [statistics.median(times[1:]) for times in taken.values()],
            [f"{min(times[1:]):.1f} to {max(times[1:]):.1f}" for times in taken.values()],
        )
        print(
            f"{size:,} of {classes:,} classes: {a:.1f} ms ({spread[0]}) / {b:.1f} ms ({spread[1]}) = {a / b:.1f}",
            flush=True,
        )


def step_of(kind: str, classes: int, batch: int, dim: int, rate: float) -> Callable[[int], None]:
    """A training step of learned ArcFace centres: `ours`, or with a `dense` gradient of the same rows."""
    head = build_head({"margin": "arcface", "centers": "learned", "sample_rate": rate}, classes, dim)
    dense = torch.nn.Parameter(head.centers.weight)  # the head's own memory
    parameters = [*head.parameters()] if kind == "ours" else [dense]
    optimiser = torch.optim.SGD(parameters, 0.1, 0.9, weight_decay=5e-4, fused=True)
    if kind == "ours":
        head.serve(optimiser)

    def step(number: int) -> None:
        torch.manual_seed(number)
        f_s, labels = torch.randn(batch, dim, requires_grad=True), torch.randint(classes, (batch,))
        head(f_s, None, labels, 0.0, step=number).loss.backward()
        if kind == "dense":
            dense.grad = torch.zeros_like(dense)
            dense.grad[sample_classes(labels, ClassShard(classes), round(rate * classes), 0, number).rows] = (
                head.centers.active.grad
            )
        optimiser.step()
        optimiser.zero_grad()
        head.zero_grad()

    return step


def status(name: str) -> float:
    """MiB of a line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def child(kind: str, classes: int, batch: int, dim: int, rate: float) -> None:
    """Print seconds and MiB of a step after a first one, which makes the momentum."""
    step = step_of(kind, classes, batch, dim, rate)
    step(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the preparations
    seconds = []
    for number in range(1, 4):
        began = time.process_time()
        step(number)
        seconds.append(time.process_time() - began)
    print(statistics.median(seconds), status("VmHWM") - before)


@click.command()
@click.option("--rate", default=0.1, show_default=True)
@click.option("--batch", default=256, show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--step", is_flag=True, help="A whole step instead of the draw.")
@click.option("--classes", default=2_000_000, show_default=True, help="Of a step.")
@click.option("--dim", default=512, show_default=True)
@click.option("--child", "measured", hidden=True)
def main(rate: float, batch: int, rounds: int, step: bool, classes: int, dim: int, measured: str | None) -> None:
    torch.set_num_threads(1)
    if measured:
        child(measured, classes, batch, dim, rate)
    elif step:
        for kind in ("dense", "ours"):
            command = [sys.executable, __file__, "--child", kind, f"--classes={classes}", f"--batch={batch}"]
            command += [f"--dim={dim}", f"--rate={rate}"]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            print(f"{kind:5}  a step {float(found[0]):.2f} s, {float(found[1]):,.0f} MiB beside centres and momentum")
    else:
        draws(rate, batch, rounds)


if __name__ == "__main__":
    main()
