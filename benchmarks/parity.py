"""Is a student trained from the cache the student the live teacher would have made? Loss curves, and their difference.

    make cache-teacher CONFIG=configs/lfw.toml DATA=...
    python benchmarks/parity.py --config configs/lfw-short.toml --data ... --steps 300 --out parity

Three runs of the same steps on the same batches, which differ in f_t alone: from the cache (float16), from the teacher
live in the step (float32), and live but rounded to the cache's storage type. Training is chaotic: a difference in the
last bit grows with the steps. So what cached - live may be is not zero, but what rounding alone, rounded - live, is.
Writes parity.png and parity.csv. Float32 arithmetic in the student; interrupted, it begins again.
"""

import csv
import itertools
from collections.abc import Callable
from pathlib import Path

import click
import matplotlib
import numpy as np
import torch
from torch import Tensor

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from cache.reader import TeacherCache
from common.config import load_config
from common.faces import Views, open_faces
from common.models import open_model
from distill.batches import EpochOrder, FaceBatches, TrainingBatch, kept_samples
from distill.head import teacher_space
from distill.run import new_trainer

LIVE, CACHED, ROUNDED = "teacher live, float32", "from the cache", "teacher live, rounded as stored"


@click.command()
@click.option("--config", "path", default="configs/lfw-short.toml", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), default="data", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value of the file.")
@click.option("--steps", default=300, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default="parity", show_default=True)
def main(path: str, data: Path, overrides: tuple[str, ...], steps: int, threads: int, out: Path) -> None:
    torch.set_num_threads(threads)
    config = load_config(path, ["train.precision=float32", *overrides])
    source, views, cache = open_faces(config, data), Views.of(config.views), TeacherCache(config.cache_dir)
    assert config.teacher is not None
    teacher = open_model(config.teacher, data, "cpu", threads)
    order = EpochOrder(config, kept_samples(len(source), cache), 0, 1)
    batches = FaceBatches(source, views, cache, config.head.geometry == "cached", (112, 112))
    space = teacher_space(config, data, cache, source.num_classes)
    trainers = {name: new_trainer(config, source, space, torch.device("cpu")) for name in (CACHED, LIVE, ROUNDED)}
    stored = torch.float32 if config.cache.dtype == "float32" else torch.float16

    def live(batch: TrainingBatch) -> Tensor:
        return torch.nn.functional.normalize(torch.from_numpy(teacher.embed(batch.faces.numpy())))

    f_t: dict[str, Callable[[TrainingBatch, Tensor], Tensor]] = {
        CACHED: lambda batch, fresh: batch.f_t,
        LIVE: lambda batch, fresh: fresh,
        ROUNDED: lambda batch, fresh: fresh.to(stored).float(),
    }
    losses: dict[str, list[float]] = {name: [] for name in trainers}
    cosine = []
    for step, wanted in enumerate(itertools.islice(order.from_step(0), steps)):
        batch = batches[wanted]
        fresh = live(batch)
        cosine.append(torch.nn.functional.cosine_similarity(fresh, batch.f_t).min().item())
        for name, trainer in trainers.items():
            given = batch._replace(f_t=f_t[name](batch, fresh))
            losses[name].append(trainer.step(given, step, len(order))["loss"].item())
    report(losses, min(cosine), out)


def report(losses: dict[str, list[float]], cosine: float, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    curves = {name: np.array(values) for name, values in losses.items()}
    by_cache, by_rounding = abs(curves[CACHED] - curves[LIVE]), abs(curves[ROUNDED] - curves[LIVE])
    print(f"least cosine of a cached and a live embedding: {cosine:.8f}")
    print(
        f"cached - live:  mean {by_cache.mean():.2e}, largest {by_cache.max():.2e} of losses {curves[LIVE].mean():.1f}"
    )
    print(f"rounded - live: mean {by_rounding.mean():.2e}, largest {by_rounding.max():.2e}")
    with (out / "parity.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *curves])
        writer.writerows(zip(range(1, len(by_cache) + 1), *losses.values(), strict=True))
    figure, (top, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 6.5), height_ratios=(3, 2), layout="constrained")
    for (name, curve), style in zip(curves.items(), ("-", "--", ":"), strict=True):
        top.plot(np.arange(1, len(curve) + 1), curve, style, label=name, linewidth=1.3)
    top.set_ylabel("loss")
    top.legend()
    steps = np.arange(1, len(by_cache) + 1)
    floor = np.finfo(np.float32).eps
    below.semilogy(steps, by_cache.clip(floor), label="|cached - live|", linewidth=1)
    below.semilogy(steps, by_rounding.clip(floor), label="|rounded - live|", linewidth=1)
    below.set(xlabel="step", ylabel="difference of losses")
    below.legend()
    figure.savefig(out / "parity.png", dpi=130)


if __name__ == "__main__":
    main()
