"""The loader of stage two against the decoder alone: faces a second of one core, and what a batch costs the training.

    python benchmarks/loader.py --faces DATA/lfw [--workers 1] [--batches 40] [--rounds 3]

decoder      simplejpeg on pictures in memory, one after the other: what a core can do
loader       distill.batches.BatchLoader: processes that put whole batches into shared memory
DataLoader   torch's, over the same FaceBatches by whole batches, 4 ahead, as stage two had it before
threads      the same ring filled by threads of the training's process

All make the same batches: read from the RecordIO file, decoded, shown in their views, with rows of 512 float16 of a
cache. By processor time, of which a busy machine takes nothing away, and by the clock, which needs an idle one. Of the
training's process: processor time a batch (of threads, without what they decode), and how much longer it takes to issue
small operations, as a step on a GPU does, while batches are made. Medians of rounds that take all in turn.
"""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click
import cv2
import numpy as np
import simplejpeg
import torch
from torch.utils.data import DataLoader

from benchmarks.synthetic_store import write_sparse
from cache.format import Layout
from cache.reader import TeacherCache
from common.config import Config
from common.faces import FaceSource, Views, open_source
from distill.batches import BatchLoader, EpochOrder, FaceBatches, TrainingBatch, Wanted

DIM = 512
CPU = torch.device("cpu")
AHEAD = 4
ISSUED = 5000  # operations a batch, some 5 ms


class Cost(NamedTuple):
    """Of one pass: faces a second of one core, by processor time and by the clock; milliseconds of the training's
    process a batch."""

    by_processor: float
    by_clock: float
    main: float


@click.command()
@click.option("--faces", type=click.Path(path_type=Path, exists=True), required=True, help="A RecordIO folder.")
@click.option("--policy", "policies", multiple=True, default=("flip", "adaface"), show_default=True)
@click.option("--batch", default=384, show_default=True)
@click.option("--batches", default=30, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(faces: Path, policies: tuple[str, ...], batch: int, batches: int, workers: int, rounds: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    source = open_source(faces)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {workers} worker(s), batches of {batch}")
    for policy in policies:
        with tempfile.TemporaryDirectory() as folder:
            views, path = Views(policy), Path(folder) / "cache"
            write_sparse(path, Layout(views.count, len(source), DIM, source.num_classes, "float16", 16384, 1024))
            maker = FaceBatches(source, views, TeacherCache(path), False, (112, 112), "off")
            report(policy, maker, order_of(source, policy, batch, batches, path), batches, workers, rounds)


def order_of(source: FaceSource, policy: str, batch: int, batches: int, cache: Path) -> EpochOrder:
    """One epoch of so many batches."""
    samples = np.resize(np.arange(len(source)), batch * batches)
    train = {"batch_size": batch, "epochs": 1}
    tables = {
        "views": {"policy": policy},
        "cache": {"path": str(cache)},
        "train": train,
        "student": {"backbone": "ir_18"},
    }
    config = Config.model_validate({"name": "loader", "teacher": "none", "faces": {"path": "faces"}, **tables})
    return EpochOrder(config, samples, 0, 1)


def report(policy: str, maker: FaceBatches, order: EpochOrder, batches: int, workers: int, rounds: int) -> None:
    wanted = list(order.from_step(0))
    ways: dict[str, Callable[[], Iterator[TrainingBatch]]] = {
        "loader": lambda: with_loader(maker, order, workers),
        "DataLoader": lambda: iter(torch_loader(maker, wanted, workers)),
        "threads": lambda: with_threads(maker, wanted, workers),
    }
    decoder, costs = [], {name: [] for name in ways}
    slower = {name: [] for name in ways}
    for _ in range(rounds):
        decoder.append(decoder_rate(maker.source, wanted))
        for name, batches_of in ways.items():
            costs[name].append(cost(batches_of, batches, workers, in_process=name == "threads"))
            slower[name].append(issuing(batches_of) / issuing(lambda: iter(wanted)))
    raw = statistics.median(decoder)
    print(f"{policy}: decoder alone {raw:,.0f} faces/s of a core; {batches} batches, medians of {rounds} rounds")
    for name, each in costs.items():
        by_processor, by_clock, main = (statistics.median(values) for values in zip(*each, strict=True))
        print(
            f"{name:>11}: {by_processor:7,.0f} faces/s of processor time, {by_processor / raw:.2f} of the decoder; "
            f"{by_clock:7,.0f} by the clock, {by_clock / raw:.2f}; {main:.2f} ms of the training's process a batch; "
            f"issuing operations takes it {statistics.median(slower[name]):.2f} times as long",
            flush=True,
        )


def decoder_rate(source: FaceSource, wanted: Sequence[Wanted]) -> float:
    """Faces a second of processor time, of JPEGs in memory."""
    pictures = [source.jpeg(sample) for batch in wanted[:8] for sample in batch.samples.tolist()]
    began = time.process_time()
    for picture in pictures:
        simplejpeg.decode_jpeg(picture, "RGB")
    return len(pictures) / (time.process_time() - began)


def cost(batches_of: Callable[[], Iterator[TrainingBatch]], batches: int, workers: int, in_process: bool) -> Cost:
    """What a pass takes when every place of the ring has been used: the first use of a page is slow, and once a run."""
    iterator, before, rows = batches_of(), 2 * workers + 2, 0
    for _ in range(before):
        rows = len(next(iterator).faces)
    began, clock = seconds_used(), time.perf_counter()
    for _ in range(batches - before):
        next(iterator)
    used, elapsed = (now - then for now, then in zip(seconds_used(), began, strict=True)), time.perf_counter() - clock
    process, workers_of_process, main_thread = used
    for _ in iterator:
        pass
    busy, main = process + workers_of_process, main_thread if in_process else process
    made = rows * (batches - before - workers + 1)
    return Cost(made / busy, made / elapsed / workers, 1e3 * main / (batches - before))


def seconds_used() -> tuple[float, float, float]:
    """Processor time of this process, of those it started that are running, and of this thread."""
    nanoseconds = sum(
        int(task.read_text().split()[0])
        for child in multiprocessing.active_children()
        for task in Path(f"/proc/{child.pid}/task").glob("*/schedstat")
    )
    return time.process_time(), 1e-9 * nanoseconds, time.thread_time()


def issuing(batches_of: Callable[[], Iterator[TrainingBatch]]) -> float:
    """Seconds to issue operations on one number while the next batches are made; waiting for them is not counted."""
    x, seconds = torch.zeros(1), 0.0
    for _ in batches_of():
        began = time.perf_counter()
        for _ in range(ISSUED):
            x.add_(1)
        seconds += time.perf_counter() - began
    return seconds


def with_loader(maker: FaceBatches, order: EpochOrder, workers: int) -> Iterator[TrainingBatch]:
    with BatchLoader(maker, order, workers, CPU) as loader:
        yield from loader.from_step(0)


def torch_loader(maker: FaceBatches, wanted: Sequence[Wanted], workers: int) -> DataLoader[TrainingBatch]:
    return DataLoader(maker, batch_size=None, sampler=wanted, num_workers=workers, prefetch_factor=AHEAD)  # type: ignore[arg-type]


def with_threads(maker: FaceBatches, wanted: Sequence[Wanted], workers: int) -> Iterator[TrainingBatch]:
    rows = len(wanted[0].samples)
    room = [maker.empty(rows) for _ in range(2 * workers + 2)]

    def make(number: int) -> TrainingBatch:
        batch = room[number % len(room)]
        maker.fill(batch, wanted[number])
        return batch

    with ThreadPoolExecutor(workers) as pool:
        ahead = [pool.submit(make, number) for number in range(min(2 * workers, len(wanted)))]
        for number in range(len(wanted)):
            yield ahead.pop(0).result()
            if number + 2 * workers < len(wanted):
                ahead.append(pool.submit(make, number + 2 * workers))


if __name__ == "__main__":
    main()
