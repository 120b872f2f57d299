"""What the cache saves in a training step: the teacher in the step, the teacher in a cache, no teacher at all.

    python benchmarks/step.py --faces data/lfw [--teacher ir_50 --teacher ir_101] [--precision bfloat16]

(a) online: the teacher runs on the batch inside the step, float32 eager, as distillation is usually done
(b) cached: f_t of the same batch is read from a cache that stage one built with this teacher just before
(c) alone:  ArcFace with learned centres, nothing of a teacher

The student and its precision are the same in all three; a step includes decoding its faces. Every batch goes through
all three in turn, so that they meet the same load; ratios are medians over batches. The teachers' weights are fixed
random numbers, which cost the same as trained ones.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.spread import ratio_text
from cache.build import build
from cache.reader import TeacherCache
from common.backbones import build_backbone
from common.config import Config
from common.faces import FaceSource, Views, open_source, write_recordio_dataset
from common.models import UNIT_RGB, FaceModel, Preset, first_known, open_model, save_weights
from distill.batches import FaceBatches, TrainingBatch
from distill.head import build_head
from distill.step import Trainer
from tests.common.backbones.golden_backbones import fill

DIM = 512


@click.command()
@click.option("--faces", type=click.Path(exists=True, path_type=Path), required=True, help="Any face source.")
@click.option("--teacher", "teachers", multiple=True, default=("ir_50", "ir_101"), show_default=True)
@click.option("--student", default="mobilefacenet", show_default=True)
@click.option("--precision", default="bfloat16", show_default=True, help="Of the student in all three.")
@click.option("--classes", default=85_742, show_default=True, help="Identities of the head.")
@click.option("--batch", default=64, show_default=True)
@click.option("--rounds", default=6, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(
    faces: Path,
    teachers: tuple[str, ...],
    student: str,
    precision: str,
    classes: int,
    batch: int,
    rounds: int,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    print(f"{student} {precision}, {classes:,} classes, batch {batch}, {threads} threads, medians of {rounds} steps")
    for name in teachers:
        with tempfile.TemporaryDirectory() as folder:
            config = experiment(Path(folder), name, student, precision, batch)
            source = some_faces(faces, Path(folder) / "faces", batch * (rounds + 1))
            assert config.teacher is not None
            teacher = open_model(config.teacher, Path(folder), "cpu", threads)
            build(config, source, teacher, threads, quiet=True)
            seconds = measure(config, source, teacher, classes, rounds)
        online, cached, alone = np.array(seconds).T
        print(
            f"{name}: medians online {np.median(online):.3f} s, cached {np.median(cached):.3f} s, alone "
            f"{np.median(alone):.3f} s; online/cached {ratio_text(online, cached)}, "
            f"alone/cached {ratio_text(alone, cached)}"
        )


def experiment(folder: Path, teacher: str, student: str, precision: str, batch: int) -> Config:
    """A config below `folder`, and its teacher's weights."""
    contract = first_known(Preset(teacher, DIM, (112, 112)), UNIT_RGB)
    save_weights(fill(build_backbone(teacher)), folder / "teacher.safetensors", contract.to_metadata())
    return Config.model_validate(
        {
            "name": "step",
            "teacher": "teacher.safetensors",
            "faces": {"path": "faces"},
            "views": {"policy": "none"},
            "cache": {"path": str(folder / "cache"), "batch_size": batch, "shard_rows": 1024},
            "student": {"backbone": student, "embedding_size": DIM},
            "train": {"precision": precision, "batch_size": batch},
        }
    )


def some_faces(faces: Path, folder: Path, count: int) -> FaceSource:
    """A training set of `count` faces of the source, spread over it, each a person of its own."""
    source = open_source(faces)
    chosen = np.linspace(0, len(source) - 1, count).astype(int)
    write_recordio_dataset(folder, [[source.jpeg(int(i))] for i in chosen])
    return open_source(folder)


def measure(
    config: Config, source: FaceSource, teacher: FaceModel, classes: int, rounds: int
) -> list[tuple[float, ...]]:
    """Seconds of (online, cached, alone) for every batch but the first, which warms up."""
    views, size = Views.of(config.views), (112, 112)
    cached_faces = FaceBatches(source, views, TeacherCache(config.cache_dir), False, size)
    bare_faces = FaceBatches(source, views, None, False, size)
    online, cached = (trainer(config, "adadistill-adaface-geometry", classes) for _ in range(2))
    alone = trainer(config, "arcface", classes)
    batch = config.train.batch_size
    seconds = []
    for number in range(rounds + 1):
        wanted = (np.arange(number * batch, (number + 1) * batch), np.zeros(batch, np.int64), 0)

        def ask_teacher(wanted: tuple = wanted) -> TrainingBatch:
            faces = bare_faces[wanted]
            return faces._replace(f_t=torch.from_numpy(teacher.embed(faces.faces.numpy())))

        seconds.append(
            (
                timed(online, ask_teacher, number),
                timed(cached, lambda wanted=wanted: cached_faces[wanted], number),
                timed(alone, lambda wanted=wanted: bare_faces[wanted], number),
            )
        )
    return seconds[1:]


def trainer(config: Config, recipe: str, classes: int) -> Trainer:
    torch.manual_seed(0)
    student = build_backbone(config.student.network, DIM)
    return Trainer(student, build_head({"recipe": recipe}, classes, DIM), config.train, torch.device("cpu"), 1)


def timed(trainer: Trainer, make_batch: Callable[[], TrainingBatch], step: int) -> float:
    began = time.perf_counter()
    trainer.step(make_batch(), step, 1000)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
