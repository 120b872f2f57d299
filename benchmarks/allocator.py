"""What it saves on a CPU that commands keep the memory they free (common/allocator.py): a step with and without.

    python benchmarks/allocator.py [--student mobilefacenet] [--precision bfloat16] [--batch 64] [--threads 1]

Each side of a round is a process of its own, for the setting cannot be undone; the two alternate, and ratios are taken
within a round. Times are processor seconds, the kernel's included. A step is that of benchmarks/step.py from a cache
without the decoding: student, head, update.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

import click
import torch

from common.allocator import USERS_OWN, keep_freed_memory
from common.backbones import build_backbone
from common.config import Config
from distill.batches import TrainingBatch
from distill.head import build_head
from distill.step import Trainer

DIM = 512


def measured_in_a_process(keep: bool, arguments: list[str]) -> tuple[float, float]:
    """Processor seconds of a step, and page faults."""
    environment = {name: value for name, value in os.environ.items() if name not in (*USERS_OWN, "GLIBC_TUNABLES")}
    command = [sys.executable, __file__, *arguments, "--child", "keep" if keep else "plain"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, faults = done.stdout.split()
    return float(seconds), float(faults)


def steps(trainer: Trainer, batch: TrainingBatch, count: int) -> tuple[float, float]:
    """Median processor seconds of a step, and mean page faults; the first two steps do not count."""
    seconds = []
    for step in range(count + 2):
        if step == 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        began = time.process_time()
        trainer.step(batch, step, 1000)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds[2:]), (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / count


@click.command()
@click.option("--student", default="mobilefacenet", show_default=True)
@click.option("--precision", default="bfloat16", show_default=True)
@click.option("--classes", default=85_742, show_default=True)
@click.option("--batch", "rows", default=64, show_default=True)
@click.option("--steps", "count", default=6, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--child", hidden=True)
def main(
    student: str, precision: str, classes: int, rows: int, count: int, rounds: int, threads: int, child: str | None
) -> None:
    if child is None:
        sides = [[measured_in_a_process(keep, sys.argv[1:]) for keep in (False, True)] for _ in range(rounds)]
        ratios = [plain[0] / kept[0] for plain, kept in sides]
        for name, (seconds, faults) in zip(("without", "with"), map(medians, zip(*sides, strict=True)), strict=True):
            print(f"{name:8} {seconds:.3f} s of processor time and {faults:,.0f} page faults a step")
        print(
            f"{student} {precision}, {classes:,} classes, batch {rows}, {threads} thread(s): without/with "
            f"{statistics.median(ratios):.2f} (median of {rounds} rounds, {min(ratios):.2f} to {max(ratios):.2f})"
        )
        return
    if child == "keep" and not keep_freed_memory():
        raise click.ClickException("the C library of this machine has no such setting")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = Config.model_validate(
        {"name": "allocator", "teacher": "any", "faces": {"path": "any"}, "train": {"precision": precision}}
    )
    network, head = build_backbone(student, DIM), build_head({"recipe": "adadistill-arcface"}, classes, DIM)
    batch = random_batch(rows, classes)
    print(*steps(Trainer(network, head, config.train, torch.device("cpu"), 1), batch, count))


def medians(pairs: tuple[tuple[float, float], ...]) -> tuple[float, float]:
    """Of seconds, and of faults."""
    seconds, faults = zip(*pairs, strict=True)
    return statistics.median(seconds), statistics.median(faults)


def random_batch(rows: int, classes: int) -> TrainingBatch:
    """Faces of noise, and what a teacher might say of them."""
    numbers = torch.arange(rows)
    faces, labels = torch.randint(256, (rows, 112, 112, 3), dtype=torch.uint8), torch.randint(classes, (rows,))
    return TrainingBatch(faces, labels, numbers, numbers, torch.randn(rows, DIM), None)


if __name__ == "__main__":
    main()
