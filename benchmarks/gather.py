"""Random rows of a teacher cache: TeacherCache.gather against memory maps of other kinds and against zarr-python.

    python benchmarks/gather.py [--rows 1000000] [--processes 1 --processes 4] [--repeats 5] [--scratch FOLDER]

Writes a synthetic store of 1 M x 512 float16 and the same rows as one flat file (1 GiB each, removed at the end). Each
round gathers 384 random rows in every way in turn, as float32, from the page cache (from the disk: benchmarks/cold.py).
Several processes all read at once. A line gives the median of all rounds and its quartiles, and the same of the ratio
in each of --repeats. Then opens a cache of 5.8 M rows x 2 views, whose shards are holes with valid indexes.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import zarr

from benchmarks.spread import spread_text
from benchmarks.synthetic_store import write_sparse, write_unsealed
from cache.format import CRC_BYTES, Layout, from_stored, layout_of, read_manifest
from cache.reader import TeacherCache
from cache.seal import seal

BATCH = 384
DIM = 512
SLOW_ROUNDS = 3


class MapPerShard:
    """The plain way to read the same shards: a numpy.memmap each, and a loop over those that a batch touches."""

    def __init__(self, path: Path) -> None:
        layout = layout_of(read_manifest(path))
        row_bytes = layout.arrays["embedding"].row_bytes
        self._shard_rows, self._chunk_rows, self._dim = layout.shard_rows, layout.chunk_rows, layout.dim
        self._shards = []
        for number, name in enumerate(layout.shard_files("embedding")):
            chunks = -(-layout.rows_of(layout.arrays["embedding"], number % layout.shards) // layout.chunk_rows)
            self._shards.append(
                np.ndarray(
                    (chunks, layout.chunk_rows),
                    np.dtype((np.void, row_bytes)),
                    np.memmap(path / name, np.uint8, "r"),
                    strides=(layout.chunk_rows * row_bytes + CRC_BYTES, row_bytes),
                )
            )

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """float32 (B,D) of rows (B,) of the first view."""
        taken = np.empty((len(rows), self._dim), np.float16)
        whole = taken.view(np.dtype((np.void, 2 * self._dim)))[:, 0]
        shard, inner = np.divmod(rows, self._shard_rows)
        order = np.argsort(shard)
        touched, first = np.unique(shard[order], return_index=True)
        for number, places in zip(touched.tolist(), np.split(order, first[1:]), strict=True):
            whole[places] = self._shards[number][np.divmod(inner[places], self._chunk_rows)]
        return from_stored(taken, None)


def ways(folder: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """How to have rows (B,) as float32 (B,D)."""
    cache = TeacherCache(folder / "store")
    flat = np.memmap(folder / "flat", np.float16, "r", shape=(len(cache), DIM))
    array = zarr.open_group(folder / "store", mode="r")["embedding"]
    assert isinstance(array, zarr.Array)
    per_shard = MapPerShard(folder / "store")
    return {
        "gather": lambda rows: cache.gather(rows, 0),
        "one memmap a shard": per_shard.gather,
        "flat memmap": lambda rows: flat[rows].astype(np.float32),
        "flat memmap, left as float16": lambda rows: flat[rows],
        "zarr oindex": lambda rows: array.oindex[0, rows],
    }


def measure(folder: Path, rounds: int, seed: int) -> dict[str, list[float]]:
    """Seconds of each round of each way."""
    random, total = np.random.default_rng(seed), len(TeacherCache(folder / "store"))
    functions = ways(folder)
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            if name == "zarr oindex" and number >= SLOW_ROUNDS:
                continue
            if number == 0:
                functions[name](np.arange(1))  # maps the files
            rows = random.integers(0, total, BATCH)
            began = time.perf_counter()
            functions[name](rows)
            seconds[name].append(time.perf_counter() - began)
    return seconds


def report(folder: Path, rounds: int, processes: int, repeats: int) -> None:
    seconds: dict[str, list[float]] = {}
    ratios: dict[str, list[float]] = {}
    for repeat in range(repeats):
        with get_context("spawn").Pool(processes) as pool:
            seeds = range(repeat * processes, (repeat + 1) * processes)
            parts = pool.starmap(measure, [(folder, rounds, seed) for seed in seeds])
        together = {name: [s for part in parts for s in part[name]] for name in parts[0]}
        for name, taken in together.items():
            seconds.setdefault(name, []).extend(taken)
            ratios.setdefault(name, []).append(statistics.median(taken) / statistics.median(together["gather"]))
    for name in seconds:
        print(
            f"{processes} process(es): {name:29s} {spread_text(seconds[name], 'ms', 1e3)}, "
            f"{spread_text(ratios[name], 'x gather')}",
            flush=True,
        )


def write_both(folder: Path, rows: int) -> None:
    """The same rows as a sealed cache and as a flat file; nothing of them stays mapped."""
    write_unsealed(folder / "store", Layout(1, rows, DIM, rows // 70, "float16", shard_rows=16384, chunk_rows=1024))
    seal(folder / "store")
    flat = np.memmap(folder / "flat", np.float16, "w+", shape=(rows, DIM))
    cache = TeacherCache(folder / "store")
    for start in range(0, rows, 16384):
        part = np.arange(start, min(start + 16384, rows))
        flat[part] = cache.gather(part, 0)
    flat.flush()


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--processes", multiple=True, type=int, default=(1, 4), show_default=True)
@click.option("--rounds", default=100, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--scratch", type=click.Path(path_type=Path), help="folder for the stores; a temporary one unless given")
def main(rows: int, processes: tuple[int, ...], rounds: int, repeats: int, scratch: Path | None) -> None:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        write_both(folder, rows)
        some = np.random.default_rng(0).integers(0, rows, BATCH)
        assert np.array_equal(*(ways(folder)[name](some) for name in ("gather", "one memmap a shard")))
        for number in processes:
            report(folder, rounds, number, repeats)
        big = Layout(2, 5_822_653, DIM, 85_742, "float16", shard_rows=16384, chunk_rows=1024)
        write_sparse(folder / "big", big)
        began = time.perf_counter()
        opened = TeacherCache(folder / "big")
        opened.gather(np.arange(BATCH), 1)
        print(f"{big.samples:,} rows x {big.views} views: opened and first rows in {time.perf_counter() - began:.3f} s")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
