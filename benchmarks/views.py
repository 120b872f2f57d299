"""Seeded views on one core: faces a second, decoded and rendered, and views a second, rendered alone.

    python benchmarks/views.py [--rec data/lfw/train.rec] [--count 3000]

Both for every policy, by processor time since the machine may be busy with other things; medians of rounds that take
the policies in turn; and the ratio to decoding alone. Goals: 3,000 faces/s for `flip`, 1,000 for the `adaface` policies
and 2,000 for the others, so that one worker feeds a student. Without --rec the faces are made up here: smooth noise,
112 x 112, JPEG quality 95, about as many bytes as an aligned face.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np

from common.faces import Records, Views, decode_rgb, encode_jpeg

GOALS = {
    **dict.fromkeys(("none", "flip"), 3000),
    **dict.fromkeys(("adaface", "flip+adaface"), 1000),
    **dict.fromkeys(("randaugment", "flip+randaugment", "mixface"), 2000),
}
ROUNDS = 5


def recorded_faces(rec: Path, count: int) -> list[bytes]:
    """The first so many pictures of a RecordIO file."""
    records = Records(rec)
    pictures = []
    for key in records.keys:
        if payload := records[key].payload:
            pictures.append(payload)
        if len(pictures) == count:
            break
    return pictures


def made_up_faces(count: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (14, 14, 3), np.uint8)
        smooth = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
        pictures.append(encode_jpeg(cv2.add(smooth, rng.integers(0, 12, smooth.shape, np.uint8))))
    return pictures


def rate(work: Callable[[int], object], count: int) -> float:
    started = time.process_time()
    for sample in range(count):
        work(sample)
    return count / (time.process_time() - started)


@click.command()
@click.option("--rec", type=click.Path(path_type=Path, exists=True), help="Take these faces instead of made-up ones.")
@click.option("--count", default=3000, help="Faces in a round.")
def main(rec: Path | None, count: int) -> None:
    """Measure decoding and rendering of every policy."""
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    jpegs = recorded_faces(rec, count) if rec else made_up_faces(count)
    faces = [decode_rgb(jpeg, "benchmark") for jpeg in jpegs]
    views = {policy: Views(policy) for policy in GOALS}
    decoding, whole, alone = [], {p: [] for p in views}, {p: [] for p in views}
    for _ in range(ROUNDS):
        decoding.append(rate(lambda i: decode_rgb(jpegs[i], "benchmark"), len(jpegs)))
        for policy, v in views.items():

            def shown(i: int, face: Callable[[int], np.ndarray], v: Views = v) -> np.ndarray:
                other = v.partner(i, i % v.count, len(jpegs))
                return v.render(face(i), i, i % v.count, other=None if other is None else face(other))

            whole[policy].append(rate(lambda i: shown(i, lambda n: decode_rgb(jpegs[n], "benchmark")), len(jpegs)))
            alone[policy].append(rate(lambda i: shown(i, faces.__getitem__), len(faces)))
    base, size = statistics.median(decoding), statistics.mean(map(len, jpegs))
    print(f"{len(jpegs):,} faces of {size:,.0f} bytes, {faces[0].shape[0]} pixels high; medians of {ROUNDS} rounds;")
    print(f"one core of {os.cpu_count()}, load {os.getloadavg()[0]:.1f}; decoding alone {base:,.0f} faces/s")
    print(f"{'policy':18}{'faces/s':>8}{'range':>18}{'goal':>8}{'of decoding':>13}{'rendering alone, views/s':>26}")
    for policy, goal in GOALS.items():
        rates, render = whole[policy], statistics.median(alone[policy])
        median, spread = statistics.median(rates), f"{min(rates):,.0f}-{max(rates):,.0f}"
        print(f"{policy:18}{median:8,.0f}{spread:>18}{goal:8,}{median / base:13.2f}{render:26,.0f}")


if __name__ == "__main__":
    main()
