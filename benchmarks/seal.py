"""What sealing a big cache takes: seconds and peak memory, for 2 million rows of 85,742 classes.

    python benchmarks/seal.py [--rows 2000000] [--confidence leave_one_out] [--threads 2] [--shuffled]

Writes a synthetic store of about 2 GB (removed at the end), seals it in a process of its own, and prints that
process's peak resident memory beside what the class sums alone need.
"""

import resource
import shutil
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path

import click

from benchmarks.synthetic_store import write_unsealed
from cache.format import Layout
from cache.seal import seal


def seal_and_report(path: Path, threads: int, answer: Queue) -> None:
    began, used = time.perf_counter(), time.process_time()
    seal(path, threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answer.put((time.perf_counter() - began, time.process_time() - used, peak))


@click.command()
@click.option("--rows", default=2_000_000, show_default=True)
@click.option("--classes", default=85_742, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("--dtype", default="float16", show_default=True)
@click.option("--confidence", default="center", show_default=True, help="center or leave_one_out")
@click.option("--threads", default=1, show_default=True)
@click.option("--shuffled", is_flag=True, help="labels in random order; else sorted, as in MS1MV2")
@click.option("--scratch", type=click.Path(path_type=Path), help="folder for the store; a temporary one unless given")
def main(
    rows: int, classes: int, dim: int, dtype: str, confidence: str, threads: int, shuffled: bool, scratch: Path | None
) -> None:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    try:
        layout = Layout(1, rows, dim, classes, dtype, shard_rows=16384, chunk_rows=1024)
        write_unsealed(folder / "store", layout, confidence, shuffled)
        context = get_context("spawn")
        answer = context.Queue()
        process = context.Process(target=seal_and_report, args=(folder / "store", threads, answer))
        process.start()
        seconds, used, peak = answer.get()
        process.join()
    finally:
        shutil.rmtree(folder)
    mebibytes, sums = peak / 2**20, classes * dim * 8 / 2**20
    print(
        f"{rows:,} rows x {dim} {dtype}, {classes:,} classes, {confidence}, {threads} thread(s): sealed in "
        f"{seconds:.1f} s ({used:.1f} s of processor), peak memory {mebibytes:,.0f} MiB, of which class sums "
        f"{sums:,.0f} MiB"
    )


if __name__ == "__main__":
    main()
