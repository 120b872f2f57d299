"""What each storage type of a teacher cache costs and loses, on real embeddings.

    python benchmarks/storage.py --data DATA [--weights models/face_recognition_sface_2021dec.onnx] [--faces lfw]
                                 [--count 3000]

Embeds the first faces of a set, stores the rows in every type, and prints the bytes of a face with one view (embedding,
scale, norm, confidence, digests, label; in shards as large as the default) and the cosine error, 1 - cos(float32 row,
row read back), in double precision.
"""

from pathlib import Path

import click
import numpy as np
import torch

from cache.format import Layout, from_stored, to_stored
from common.config import ModelConfig
from common.faces import open_source
from common.models import open_model

BATCH = 64


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--weights", default="models/face_recognition_sface_2021dec.onnx", show_default=True)
@click.option("--faces", default="lfw", show_default=True)
@click.option("--count", default=3000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(data: Path, weights: str, faces: str, count: int, threads: int) -> None:
    torch.set_num_threads(threads)
    source = open_source(data / faces)
    model = open_model(ModelConfig(weights=weights), data, "cpu", threads)
    count = min(count, len(source))
    raw = np.concatenate(
        [
            model.embed(np.stack([source.rgb(i) for i in range(start, min(start + BATCH, count))]))
            for start in range(0, count, BATCH)
        ]
    )
    rows = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    print(f"{count:,} faces of {faces}, {model.describe()['name']}, {model.dim} wide")
    for dtype in ("float32", "float16", "int8"):
        stored = to_stored(rows, dtype)
        again = from_stored(stored["embedding"], stored.get("scale"))
        error, length = cosine_error(rows, again), np.linalg.norm(again.astype(np.float64), axis=1)
        layout = Layout(1, 5_822_653, model.dim, 1, dtype, shard_rows=16384, chunk_rows=1024)
        size = layout.bytes_on_disk / layout.samples
        print(
            f"{dtype:8s} {size:8.1f} bytes a face   cosine error mean {error.mean():.1e} "
            f"max {error.max():.1e}   length off by {np.abs(length - 1).max():.1e}"
        )


def cosine_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - cosine of rows (N,D): float64 (N,), from the difference of the unit rows, which does not cancel."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return ((a - b) ** 2).sum(1) / 2


if __name__ == "__main__":
    main()
