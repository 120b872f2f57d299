"""RecordIO against mxnet 1.9.1: opening an index of MS1MV2's size, and reading faces in random order.

    python benchmarks/recordio.py [--rec data/lfw/train.rec]

Prints seconds, memory and faces a second of both, and their ratio, measured in turns in one run. mxnet runs in
`.venv-mxnet` (made by `make test-mxnet`); without it only our own numbers are printed. Without --rec the pictures
are made up here: smooth noise, 112 x 112, JPEG quality 95, about as many bytes as an aligned face.

All files are in the page cache: the program is measured, not the disk. Nothing is kept between openings, so the
first one costs what every later one does.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks.spread import ratio_text, spread_text
from common.faces import CHUNK, MAGIC, Records, decode_rgb, encode_jpeg, write_recordio_dataset

ROOT = Path(__file__).parents[1]
MXNET = ROOT / ".venv-mxnet" / "bin" / "python"
WITNESS = ROOT / "tests" / "interop" / "mxnet_witness.py"
PICTURES, IDENTITIES = 5_822_653, 85_742  # MS1MV2
ROUNDS = 5
# VmHWM, not ru_maxrss: a new process starts with that of its parent
OPENING = """
import json, sys, time
from common.faces import Records
def peak_mib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
before = peak_mib()
started, cpu = time.perf_counter(), time.process_time()
records = Records(sys.argv[1])
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
print(json.dumps({"keys": len(records), "seconds": seconds, "cpu": cpu, "mib": peak_mib() - before}))
"""


def measured(*command: str | Path) -> dict:
    return json.loads(subprocess.run(list(command), check=True, capture_output=True, cwd=ROOT).stdout)


def by_mxnet(*arguments: str | Path) -> list[dict]:
    """What the witness measured, or nothing where there is no mxnet."""
    return [measured(MXNET, WITNESS, *arguments)] if MXNET.exists() else []


def large_files(folder: Path) -> Path:
    """An index of MS1MV2's size and layout, and a .rec with holes where the pictures would be."""
    sizes = np.random.default_rng(0).integers(700, 2100, PICTURES) * 4
    ends = np.cumsum(sizes)
    header = int(ends[-1])
    starts = [0, *ends[:-1].tolist(), *range(header, header + 40 * (IDENTITIES + 1), 40)]
    keys = [*range(1, PICTURES + 1), 0, *range(PICTURES + 1, PICTURES + 1 + IDENTITIES)]
    (folder / "large.idx").write_text("".join(f"{key}\t{start}\n" for key, start in zip(keys, starts, strict=True)))
    with (folder / "large.rec").open("wb") as file:
        file.seek(starts[-1])
        file.write(CHUNK.pack(MAGIC, 32) + bytes(32))
    return folder / "large.rec"


def made_up_faces(folder: Path) -> Path:
    rng = np.random.default_rng(0)

    def picture() -> bytes:
        coarse = rng.integers(0, 256, (14, 14, 3), np.uint8)
        smooth = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
        return encode_jpeg(cv2.add(smooth, rng.integers(0, 12, smooth.shape, np.uint8)))

    write_recordio_dataset(folder, [[picture() for _ in range(4)] for _ in range(1500)])
    return folder / "train.rec"


def our_rate(records: Records, keys: list[int], threads: int) -> float:
    def decode(part: list[int]) -> None:
        for key in part:
            decode_rgb(records[key].payload, "benchmark")

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, [keys[thread::threads] for thread in range(threads)]))
    return len(keys) / (time.perf_counter() - started)


def report(what: str, unit: str, ours: list[float], theirs: list[float], larger_is_better: bool) -> None:
    print(f"{what:34} ours {spread_text(ours, unit)}", end="")
    if not theirs:
        print(f"   mxnet not measured: no {MXNET.parents[1].name}, see `make test-mxnet`")
        return
    ratio = ratio_text(ours, theirs) if larger_is_better else ratio_text(theirs, ours)
    print(f"   mxnet {spread_text(theirs, unit)}   ratio {ratio}")


def benchmark_opening(folder: Path) -> None:
    rec = large_files(folder)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(measured(sys.executable, "-c", OPENING, rec))
        theirs += by_mxnet("opening", rec, rec.with_suffix(".idx"))
    print(f"opening {ours[0]['keys']:,} keys, {rec.with_suffix('.idx').stat().st_size / 1e6:.0f} MB of text")
    fields = (("wall time", "seconds", "s"), ("processor time", "cpu", "s"), ("memory a process", "mib", "MiB"))
    for what, field, unit in fields:
        report("  " + what, unit, [one[field] for one in ours], [one[field] for one in theirs], False)


def benchmark_reading(rec: Path, count: int) -> None:
    records = Records(rec)
    pictures = [key for key in sorted(records) if records[key].payload]
    keys = random.Random(0).sample(pictures, min(count, len(pictures)))
    size = statistics.mean(len(records[key].payload) for key in keys)
    one, two, theirs = [], [], []
    for _ in range(ROUNDS):
        one.append(our_rate(records, keys, 1))
        two.append(our_rate(records, keys, 2))
        theirs += [result["faces_per_second"] for result in by_mxnet("rate", rec, records.idx_path, str(count))]
    print(f"reading and decoding {len(keys):,} of {len(pictures):,} pictures, {size:,.0f} bytes each, random order")
    report("  one thread", "faces/s", one, theirs, True)
    report("  two threads (mxnet one)", "faces/s", two, theirs, True)


@click.command()
@click.option("--rec", type=click.Path(path_type=Path, exists=True), help="Read these faces instead of made-up ones.")
@click.option("--count", default=6000, help="Pictures read in a round.")
def main(rec: Path | None, count: int) -> None:
    """Compare RecordIO reading with mxnet."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as scratch:
        benchmark_opening(Path(scratch))
        benchmark_reading(rec or made_up_faces(Path(scratch)), count)


if __name__ == "__main__":
    main()
