"""How much of the bare teacher's speed stage one reaches.

    python benchmarks/build.py --data DATA [--faces lfw] [--backbone ir_50] [--count 256] [--batch 32] [--rounds 3]

Builds a cache of the first faces with a teacher of random weights, and runs the same teacher over the same batches,
decoded beforehand, in alternating rounds of one process. Prints seconds, processor seconds and the median of the
rounds' ratios: decoding runs ahead of the teacher and writing behind it, so with a core to spare it is near 1.
"""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.spread import ratio_text
from cache.build import build
from common.backbones import build_backbone
from common.config import Config, ModelConfig
from common.faces import open_source, write_recordio_dataset
from common.models import open_model, save_weights


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--faces", default="lfw", show_default=True)
@click.option("--backbone", default="ir_50", show_default=True)
@click.option("--count", default=256, show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(data: Path, faces: str, backbone: str, count: int, batch: int, rounds: int, threads: int) -> None:
    data = data.resolve()
    torch.set_num_threads(threads)
    os.chdir(folder := tempfile.mkdtemp())
    try:
        source = open_source(data / faces)
        write_recordio_dataset(Path("data/faces"), [[source.jpeg(i) for i in range(count)]])
        source = open_source("data/faces")
        torch.manual_seed(0)
        save_weights(build_backbone(backbone, 512), Path("data/teacher.safetensors"), {})
        described = {"weights": "teacher.safetensors", "architecture": backbone, "embedding_size": 512,
                     "size": [112, 112], "channel_order": "rgb", "mean": 127.5, "std": 127.5}  # fmt: skip
        teacher = open_model(ModelConfig.model_validate(described), Path("data"), "cpu", threads)
        config = Config.model_validate(
            {
                "name": "timed",
                "faces": {"path": "faces"},
                "teacher": described,
                "views": {"policy": "none"},
                "cache": {"batch_size": batch},
            }
        )
        pictures = np.stack([source.rgb(i) for i in range(count)])
        teacher.embed(pictures[:batch])
        bare, stage_one = [], []
        for _ in range(rounds):
            bare.append(seconds_of(lambda: [teacher.embed(pictures[at : at + batch]) for at in range(0, count, batch)]))
            stage_one.append(seconds_of(lambda: build(config, source, teacher, threads, quiet=True)))
            shutil.rmtree("caches")
    finally:
        shutil.rmtree(folder)
    print(f"{backbone}, {count} faces, batches of {batch}, {threads} thread(s), {rounds} rounds")
    for name, at in (("seconds", 0), ("processor seconds", 1)):
        ratio = ratio_text((one[at] for one in bare), (one[at] for one in stage_one))
        teachers, ours = (statistics.median(part[at] for part in parts) for parts in (bare, stage_one))
        print(f"{name:18s} teacher alone {teachers:7.2f}   stage one {ours:7.2f}   reached {ratio}")


def seconds_of(work) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    began, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - used


if __name__ == "__main__":
    main()
