"""A disk that has nothing in memory yet: 384 random rows of a cache, and the first epoch of the loader.

    python benchmarks/cold.py [--rows 1000000] [--faces 20000] [--rounds 7] [--scratch FOLDER]

Rows: TeacherCache.gather, memory maps that wait for one page after the other (as gather did), zarr-python's oindex.
Epoch: the loader's batches of a RecordIO file and a cache made on the spot: in memory, and cold with train.warm "auto"
and "off". Every measurement is a process of its own, before which all files are dropped from the page cache
(posix_fadvise: needs no root). A disk behind a hypervisor may keep what this machine dropped; "in order" is its pace.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np

from benchmarks.gather import BATCH, DIM, ways, write_both
from benchmarks.spread import ratio_text, spread_text
from benchmarks.synthetic_store import write_unsealed
from benchmarks.views import made_up_faces
from cache.format import Layout
from cache.reader import TeacherCache
from cache.seal import seal
from common.config import Config, Warm
from common.faces import Views, open_source, write_recordio_dataset
from distill.batches import EpochOrder, FaceBatches
from distill.loading import batch_loader, batches_of
from distill.warm import ToldOrder, reading_ahead

PEOPLE = 500
WAYS = ("gather", "one memmap a shard", "flat memmap", "zarr oindex")


def drop_from_page_cache(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def seconds_of_rows(folder: Path, name: str, seed: int) -> float:
    """384 random rows, all files mapped or opened, nothing of them in memory."""
    drop_from_page_cache(folder)
    way = ways(folder)[name]
    way(np.arange(1))
    rows = np.random.default_rng(seed).integers(0, len(TeacherCache(folder / "store")), BATCH)
    began = time.perf_counter()
    way(rows)
    return time.perf_counter() - began


def seconds_in_order(folder: Path) -> float:
    """All files of an epoch read once, each from start to end."""
    began = time.perf_counter()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            file.read_bytes()
    return time.perf_counter() - began


def seconds_of_epoch(folder: Path, warm: Warm, workers: int) -> tuple[float, list[str]]:
    """An epoch of the loader, whose batches nobody waits for, and what reading ahead said."""
    config = Config.model_validate(
        {
            "name": "cold",
            "faces": {"path": "faces"},
            "teacher": "none",
            "train": {"batch_size": BATCH, "verify": "off", "workers": workers, "warm": warm},
        }
    )
    source, cache = open_source(folder / "faces"), TeacherCache(folder / "cache")
    order = EpochOrder(config, np.arange(len(source)), 0, 1)
    batches = FaceBatches(source, Views.of(config.views), cache, False, (112, 112), "off")
    began = time.perf_counter()
    with reading_ahead(warm, batches, order) as ahead:
        made = sum(1 for _ in batches_of(batch_loader(batches, ToldOrder(order, ahead), workers, pin=False)))
        seconds = time.perf_counter() - began
        assert made == len(order)
        return seconds, list(ahead.news())


def write_epoch(folder: Path, faces: int) -> None:
    """Faces in a RecordIO file and a sealed cache of two views of them."""
    some = made_up_faces(PEOPLE)
    each = faces // PEOPLE
    write_recordio_dataset(folder / "faces", ([picture] * each for picture in some))
    layout = Layout(2, each * PEOPLE, DIM, PEOPLE, "float16", shard_rows=16384, chunk_rows=1024)
    write_unsealed(folder / "cache", layout)
    seal(folder / "cache")
    os.sync()  # pages not yet written cannot be dropped


def alone(function: Callable, *arguments: object):  # type: ignore[no-untyped-def]
    """The result of a process of its own: nothing stays mapped."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def report_rows(folder: Path, rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name in WAYS:
            seconds[name].append(alone(seconds_of_rows, folder, name, number))
    for name, taken in seconds.items():
        print(
            f"cold, {BATCH} rows: {name:20s} {spread_text(taken, 'ms', 1e3)}, "
            f"{ratio_text(taken, seconds['gather'])} x gather",
            flush=True,
        )


def report_epoch(folder: Path, rounds: int, workers: int) -> None:
    states: dict[str, tuple[bool, Warm]] = {
        "in memory": (False, "auto"),
        "cold, warm = auto": (True, "auto"),
        "cold, warm = off": (True, "off"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ["in order", *states]}
    for _ in range(rounds):
        drop_from_page_cache(folder)
        seconds["in order"].append(alone(seconds_in_order, folder))
        for name, (cold, warm) in states.items():
            if cold:
                drop_from_page_cache(folder)
            taken, news = alone(seconds_of_epoch, folder, warm, workers)
            seconds[name].append(taken)
            print(f"{name}: {taken:.2f} s; {'; '.join(news)}", flush=True)
    for name, took in seconds.items():
        ratio = ratio_text(took, seconds["in memory"])
        print(f"epoch, {name:18s} {spread_text(took, 's')}, {ratio} x in memory", flush=True)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="0 leaves the rows out")
@click.option("--faces", default=20_000, show_default=True, help="0 leaves the epoch out")
@click.option("--workers", default=1, show_default=True)
@click.option("--rounds", default=7, show_default=True)
@click.option("--scratch", type=click.Path(path_type=Path), help="folder for the files; a temporary one unless given")
def main(rows: int, faces: int, workers: int, rounds: int, scratch: Path | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        if rows:
            write_both(folder / "rows", rows)
            os.sync()
            report_rows(folder / "rows", rounds)
        if faces:
            write_epoch(folder / "epoch", faces)
            report_epoch(folder / "epoch", rounds, workers)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
