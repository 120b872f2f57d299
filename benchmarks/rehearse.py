"""A rehearsal of a big data set on this machine: both stages end to end, with processes that join, die and go on.

    python benchmarks/rehearse.py [--images 1000000] [--people 85742] [--processes 1,2,4] [--steps 200] [--work FOLDER]

Writes small JPEGs (112x112, a few colours) by this project's packer, and a teacher of three layers, so that everything
but the teacher is at full size. Stage one runs anew for each number of processes, some of which are killed; their
bytes must be equal. Then verify, stage two to half of the steps, kill, and on. Prints two Markdown tables: seconds
and memory of every phase, and what they come to for MS1MV2 and for 100 million faces. Removes what it wrote.
"""

import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.meter import Meter
from cache.format import Layout, too_many_shards
from common.faces import encode_jpeg, write_recordio_dataset
from common.plan import duration_text, size_text

DIM, VIEWS, BATCH = 512, 2, 32
CACHE, RUN = Path("caches/rehearsal"), Path("runs/rehearsal")
ROOT = Path(__file__).resolve().parents[1]
# (share of the units that is finished, processes that then start or, negative, are killed)
PLANS = {
    1: ((0.0, 1), (0.4, -1), (0.4, 1)),
    2: ((0.0, 1), (0.2, 1), (0.6, -1)),
    4: ((0.0, 2), (0.2, 2), (0.5, -2), (0.6, 1)),
}
ENOUGH = 50_000  # images: with fewer, starting and importing are most of the time
SCALES = (("MS1MV2", 5_822_653, 85_742, 2), ("100 million faces", 100_000_000, 2_000_000, 8))


def pictures(images: int, people: int) -> Iterator[list[bytes]]:
    """Each person's photos: smooth patches of own colours, shifted a little in each."""
    random = np.random.default_rng(0)
    for person in range(people):
        own = random.integers(0, 256, (4, 4, 3))
        photos = (person + 1) * images // people - person * images // people
        shifted = np.clip(own + random.integers(-20, 21, (photos, 4, 4, 3)), 0, 255).astype(np.uint8)
        yield [encode_jpeg(cv2.resize(small, (112, 112)), 70) for small in shifted]


def write_teacher(path: Path) -> None:
    """Means of 8x8 blocks through one matrix and a ramp."""
    weight = np.random.default_rng(0).standard_normal((14 * 14 * 3, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["faces"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["blocks"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["product"]),
        helper.make_node("LeakyRelu", ["product"], ["embedding"]),
    ]
    ends = ("faces", ["n", 3, 112, 112]), ("embedding", ["n", DIM])
    given, answer = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in ends)
    graph = helper.make_graph(nodes, "rehearsal", [given], [answer], [numpy_helper.from_array(weight, "weight")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_experiment(images: int, steps: int) -> Layout:
    shard_rows = 2 ** min(14, max(4, int(math.log2(max(images, 32) / 32))))
    chunk_rows, epochs = min(1024, shard_rows), 1 + steps * BATCH // images
    Path("rehearsal.toml").write_text(
        f'name = "rehearsal"\nteacher = {{ weights = "teacher.onnx", mean = 127.5, std = 127.5 }}\n'
        f'faces = {{ path = "faces" }}\nviews = {{ policy = "flip" }}\n'
        f"cache = {{ shard_rows = {shard_rows}, chunk_rows = {chunk_rows}, check_teacher = false }}\n"
        f'student = {{ backbone = "mobilefacenet_0.25", embedding_size = {DIM} }}\n'
        f"train = {{ batch_size = {BATCH}, lr = 0.02, lr_batch = 0, epochs = {epochs}, milestones = [], workers = 1, "
        f"log_every = 10, checkpoint_minutes = 0, warmup_epochs = 0 }}\n"
    )
    return Layout(VIEWS, images, DIM, 1, "float16", shard_rows, chunk_rows)


def start(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *words, "--config", "rehearsal.toml", "--data", "data"]
    given = {"SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with open("log.txt", "a") as log:
        return subprocess.Popen(command, env={**os.environ, **given}, stdout=log, stderr=log)


def build(number: int, units: int, meter: Meter, *words: str) -> None:
    """Stage one by the plan of so many processes; who is killed is the first one alive."""
    processes: list[subprocess.Popen[bytes]] = []
    for share, change in PLANS[number]:
        while share and finished() < share * units and any(process.poll() is None for process in processes):
            time.sleep(0.02)
        for _ in range(change):
            processes.append(start("cache", "build", "--device", "cpu", "--threads", "1", *words))
            meter.watch(processes[-1].pid)
        for process in [process for process in processes if process.poll() is None][: max(0, -change)]:
            process.kill()
            meter.killed += 1
    for process in processes:
        if process.wait() not in (0, -signal.SIGKILL):
            raise SystemExit(Path("log.txt").read_text()[-3000:])


def finished() -> int:
    return sum(1 for _ in (CACHE / "ledger").glob("view*.json"))


def run(meter: Meter, *words: str) -> None:
    process = start(*words)
    meter.watch(process.pid)
    if process.wait():
        raise SystemExit(Path("log.txt").read_text()[-3000:])


def train_until(step: int, meter: Meter) -> None:
    """Stage two, killed when it has a checkpoint of this step."""
    process = start("distill", "train", "--device", "cpu", "--threads", "1")
    meter.watch(process.pid)
    while process.poll() is None and last_checkpoint() < step:
        time.sleep(0.02)
    if process.poll() not in (None, 0):
        raise SystemExit(Path("log.txt").read_text()[-3000:])
    meter.killed += process.poll() is None
    process.kill()
    process.wait()


def last_checkpoint() -> int:
    return max((int(path.stem[4:]) for path in RUN.rglob("step*.pt")), default=0)


def tree(folder: Path) -> dict[str, bytes]:
    import hashlib

    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).digest() for path in files}


@click.command()
@click.option("--images", default=1_000_000, show_default=True)
@click.option("--people", default=85_742, show_default=True)
@click.option("--processes", default="1,2,4", show_default=True, help="of 1, 2 and 4")
@click.option("--steps", default=200, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), help="folder for everything; a temporary one unless given")
def main(images: int, people: int, processes: str, steps: int, work: Path | None) -> None:
    numbers = [int(number) for number in processes.split(",")]
    folder = Path(tempfile.mkdtemp(dir=work))
    os.chdir(folder)
    rows: list[tuple[str, Meter]] = []

    def phase(name: str) -> Meter:
        rows.append((name, Meter()))
        return rows[-1][1]

    try:
        with phase("writing the faces"):
            Path("data").mkdir()
            write_recordio_dataset("data/faces", pictures(images, people))
            write_teacher(Path("data/teacher.onnx"))
        layout, first = write_experiment(images, steps), {}
        units = len(list(layout.units()))
        for number in numbers:
            shutil.rmtree(CACHE, ignore_errors=True)
            with phase(f"stage one, {number} process(es)") as stage_one:
                build(number, units, stage_one, "--units", f":{units - 1}")
            with phase("its last unit and the seal") as sealing:
                run(sealing, "cache", "build", "--device", "cpu", "--threads", "1")
            made = tree(CACHE)
            first = first or made
            if made != first:
                raise SystemExit(f"{number} processes made other bytes: {[n for n in made if made[n] != first.get(n)]}")
        with phase("verify") as meter:
            run(meter, "cache", "verify")
        for step in sorted({10, steps // 2, steps}):
            with phase(f"stage two, on to step {step}") as meter:
                train_until(step, meter)
            if last_checkpoint() < step:
                raise SystemExit(f"stage two ended at step {last_checkpoint()} of {step}")
    finally:
        os.chdir("/")
        shutil.rmtree(folder)
    print(
        f"{images:,} faces of {people:,} people, {VIEWS} views, {len(os.sched_getaffinity(0))} cores: every cache equal"
    )
    print("\n| phase | killed | seconds | peak RSS of one, MiB | peak PSS of all, MiB |\n|---|---|---|---|---|")
    for name, meter in rows:
        print(f"| {name} | {meter.killed} | {meter.seconds:,.1f} | {meter.largest:,.0f} | {meter.together:,.0f} |")
    if images >= ENOUGH:
        extrapolate(stage_one.seconds / layout.samples / VIEWS, sealing.seconds / layout.samples / VIEWS)


def extrapolate(row_seconds: float, seal_seconds: float) -> None:
    """What this pace comes to for the data sets of this field; starting is in it, so it is above rather than below."""
    print("\n| extrapolated | rows | disk | stage one but for its teacher | seal | shards |\n|---|---|---|---|---|---|")
    for name, samples, classes, views in SCALES:
        layout = Layout(views, samples, DIM, classes, "float16", 16384, 1024)
        total, refused = samples * views, too_many_shards(layout)
        print(
            f"| {name} | {total:,} | {size_text(layout.bytes_on_disk)} | {duration_text(total * row_seconds)} | "
            f"{duration_text(total * seal_seconds)} | {refused or f'{views * layout.shards:,} of 16,384 rows'} |"
        )


if __name__ == "__main__":
    main()
