"""Teacher throughput: float32 eager NCHW, as the published code runs it, against reduced precision and channels-last.

    python benchmarks/teacher.py --faces data/lfw
    python benchmarks/teacher.py --backbone ir_101 --weights data/models/ir101.safetensors --faces data/lfw
    python benchmarks/teacher.py --also compile --also channels-last --count 128

Every batch goes through each variant in turn, so all of them meet the same load on the machine. Ratios are medians
over batches, of wall seconds and of CPU seconds; on a machine that others use, only the latter with --threads 1 means
much. The cosine is between two variants' embeddings of one face, the minimum over all faces.
Without --weights the networks are filled with fixed random numbers: good for speed, only a hint for the cosine.
Without --faces the pictures are blocky noise.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.spread import ratio_text
from common.backbones import build_backbone
from common.config import ModelConfig
from common.faces import open_source
from common.models import UNIT_RGB, FaceModel, TorchNetwork, open_model
from tests.common.backbones.golden_backbones import fill

ROOT = Path(__file__).parents[1]

MIN_COSINE = 0.9995


@dataclass
class Variant:
    """One way to run the network, with the wall and CPU seconds of each batch and the embeddings it gave."""

    name: str
    embed: object
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)

    def run(self, faces: np.ndarray) -> None:
        began, cpu_began = time.perf_counter(), time.process_time()
        self.rows.append(self.embed(faces))
        self.seconds.append(time.perf_counter() - began)
        self.cpu_seconds.append(time.process_time() - cpu_began)


def networks(backbone: str, weights: Path | None, device: str, precision: str, also: tuple[str, ...]) -> list[Variant]:
    """float32 NCHW, `precision` with channels-last, and what else was asked for: channels-last alone, all compiled."""
    choices = [("float32", False, False), (precision, True, False)]
    choices += [("float32", True, False)] if "channels-last" in also else []
    choices += [(precision, True, True)] if "compile" in also else []
    variants = []
    for dtype, channels_last, compile_it in choices:
        name = dtype + (", channels-last" if channels_last else ", NCHW") + (", compiled" if compile_it else "")
        if weights is None:
            module = fill(build_backbone(backbone))
            embed = TorchNetwork(module, UNIT_RGB.mean, UNIT_RGB.std, dtype, device, channels_last, compile_it)
        else:
            config = ModelConfig(
                weights=str(weights.resolve()), precision=dtype, channels_last=channels_last, compile=compile_it
            )
            model: FaceModel = open_model(config, ROOT, device)
            embed = model.embed
        variants.append(Variant(name, embed))
    return variants


def some_faces(folder: Path | None, count: int) -> np.ndarray:
    """uint8 (count,112,112,3) from a face source, spread over it, or made up."""
    if folder is None:
        rng = np.random.default_rng(0)
        blocks = rng.integers(0, 256, (count, 14, 14, 3)).repeat(8, 1).repeat(8, 2)
        return (blocks * 0.8 + rng.integers(0, 52, blocks.shape)).astype(np.uint8)
    source = open_source(folder)
    return np.stack([source.rgb(int(i)) for i in np.linspace(0, len(source) - 1, count)])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Row-wise cosine of two (N,D) arrays, in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


@click.command()
@click.option("--backbone", "backbones", multiple=True, default=("ir_50", "ir_101"), show_default=True)
@click.option("--weights", type=click.Path(exists=True, path_type=Path), help="A checkpoint; needs one --backbone.")
@click.option("--faces", type=click.Path(exists=True, path_type=Path), help="RecordIO folder or folder of identities.")
@click.option("--count", default=1000, show_default=True, help="Faces.")
@click.option("--batch", default=32, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", default="bfloat16", show_default=True, type=click.Choice(["bfloat16", "float16"]))
@click.option("--threads", type=int, help="CPU threads; default: torch's.")
@click.option("--also", multiple=True, type=click.Choice(["channels-last", "compile"]), help="Further variants.")
def main(
    backbones: tuple[str, ...],
    weights: Path | None,
    faces: Path | None,
    count: int,
    batch: int,
    device: str,
    precision: str,
    threads: int | None,
    also: tuple[str, ...],
) -> None:
    """Faces a second of each variant, ratio to the first, and cosine to the first."""
    if threads:
        torch.set_num_threads(threads)
    pictures = some_faces(faces, count)
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, batch {batch}, "
        f"{count} faces from {faces or 'noise'}, weights {weights or 'fixed random numbers'}"
    )
    for backbone in backbones:
        variants = networks(backbone, weights, device, precision, also)
        for variant in variants:
            variant.embed(pictures[:batch])  # first calls allocate and compile
        for at in range(0, count, batch):
            for variant in variants:
                variant.run(pictures[at : at + batch])
        report(backbone, variants, count)


def report(backbone: str, variants: list[Variant], count: int) -> None:
    base = variants[0]
    for variant in variants:
        ratio = ratio_text(base.seconds, variant.seconds)
        cpu_ratio = ratio_text(base.cpu_seconds, variant.cpu_seconds)
        cosine = cosines(np.concatenate(base.rows), np.concatenate(variant.rows))
        enough = "" if cosine.min() >= MIN_COSINE else f"  below {MIN_COSINE}"
        print(
            f"{backbone:12s} {variant.name:34s} {count / sum(variant.seconds):8.1f} faces/s   ratio {ratio}   "
            f"CPU {1e3 * sum(variant.cpu_seconds) / count:6.1f} ms/face   ratio {cpu_ratio}   "
            f"cosine min {cosine.min():.6f} mean {cosine.mean():.6f}{enough}",
            flush=True,
        )


if __name__ == "__main__":
    main()
