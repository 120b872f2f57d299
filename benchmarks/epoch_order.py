"""The order of an epoch and its views: seconds and memory, against sorting all keys at once.

    python benchmarks/epoch_order.py [--samples 5822653]

Each in a process of its own, since what is measured is its largest size. What a run keeps is the kept samples, the
order in use and the next one; `in blocks` makes all three, `at once` one order and its views as stage two did before.
"""

import resource
import time
from multiprocessing import get_context

import click
import numpy as np

from common.config import ViewsConfig
from common.faces import view_numbers, words
from distill.batches.epochs import epoch_batches, samples_in_order

BATCH = 384
STREAM = 2  # of the words that order an epoch


def in_blocks(total: int) -> tuple[float, float]:
    """Seconds for an order, and for the views of all its batches."""
    samples = np.arange(total)
    order = samples_in_order(samples, 0, 0)
    began = time.perf_counter()
    following = samples_in_order(samples, 1, 0)
    ordered = time.perf_counter()
    for _ in epoch_batches(order, ViewsConfig(), 0, 0, BATCH, 0, 1):
        pass
    assert len(following) == total
    return ordered - began, time.perf_counter() - ordered


def at_once(total: int) -> tuple[float, float]:
    samples, began = np.arange(total), time.perf_counter()
    word = words(0, STREAM, np.arange(total), 1).astype(np.uint64)
    order = samples[np.argsort(word[:, 0] << np.uint64(32) | word[:, 1], kind="stable")]
    ordered = time.perf_counter()
    view_numbers(order, 1, 0, 0, 2)
    return ordered - began, time.perf_counter() - ordered


def measured(way: str, total: int) -> tuple[float, float, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = {"in blocks": in_blocks, "at once": at_once}[way](total)
    return (*seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


@click.command()
@click.option("--samples", default=5_822_653, show_default=True)
def main(samples: int) -> None:
    for way in ("at once", "in blocks"):
        with get_context("spawn").Pool(1) as pool:
            order, views, memory = pool.apply(measured, (way, samples))
        print(f"{way:>9}: {order:.2f} s for an order, {views:.2f} s for its views, {memory:,.0f} MiB at most")


if __name__ == "__main__":
    main()
