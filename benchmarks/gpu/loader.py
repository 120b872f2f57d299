"""The batches of a run, as its step gets them."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch

from benchmarks.gpu.demo_faces import build_cache, experiment, make_faces
from benchmarks.gpu.finding import Finding, at_least, holds, measured, needs_card
from benchmarks.gpu.machine import cores
from benchmarks.gpu.place import Place
from common.faces import open_faces
from distill.batches import TrainingBatch
from distill.run import opened_run

SHARE = 0.5  # of what as many processes decode that do nothing else


def batches(place: Place) -> Iterator[Finding]:
    """Pinned for a card, the same whatever the number of workers, and not much slower than decoding alone."""
    make_faces(place)
    build_cache(place, "cpu")
    workers = max(1, min(8, cores() - 2)) if place.card else 1
    alone, several = batches_and_pace(place, 0), batches_and_pace(place, workers)
    same = len(alone.batches) == len(several.batches) and all(map(equal, alone.batches, several.batches))
    yield holds(f"batches of {workers} worker(s) against those of none", same, f"{len(several.batches)}", "the same")
    raw = decoded_a_second(place)
    pace = several.faces_per_second
    note = f"{pace:,.0f} faces/s of {raw:,.0f} a core"
    if not place.card:
        yield measured("pace of a worker against decoding alone", pace / raw, "{:.2f}")
        yield needs_card("batches in pinned memory")
        return
    pinned, whole = several.pinned, several.tensors
    yield holds("tensors in pinned memory", pinned == whole, f"{pinned} of {whole}", f"{whole}")
    yield at_least(f"pace of {workers} workers against decoding alone", pace / raw / workers, SHARE, "{:.2f}", note)


class Loaded(NamedTuple):
    """What a loader gave: the first epoch's batches, how many of their tensors were pinned, and its pace after."""

    batches: list[TrainingBatch]
    tensors: int
    pinned: int
    faces_per_second: float


def batches_and_pace(place: Place, workers: int) -> Loaded:
    """Some epochs of a run's loader."""
    epochs = 10 if place.card else 3
    config = experiment(name=f"loader{workers}", train__workers=workers, train__epochs=epochs)
    with opened_run(config, place.folder, place.device) as run:
        coming = run.loader.from_step(0)
        batches, tensors, pinned = [], 0, 0
        for batch in islice(coming, len(run.order)):
            parts = [part for part in batch if part is not None]
            tensors += len(parts)
            pinned += sum(part.is_pinned() for part in parts)
            # The next batch may be made in the same memory.
            batches.append(TrainingBatch(*(None if part is None else part.clone() for part in batch)))
        began = time.perf_counter()
        faces = config.train.batch_size * sum(1 for _ in coming)
        return Loaded(batches, tensors, pinned, faces / (time.perf_counter() - began))


def equal(a: TrainingBatch, b: TrainingBatch) -> bool:
    """Every tensor of two batches."""
    return all(
        (x is None and y is None) or (x is not None and y is not None and torch.equal(x, y))
        for x, y in zip(a, b, strict=True)
    )


def decoded_a_second(place: Place) -> float:
    """Pictures that this process reads and decodes; once around to warm up."""
    source = open_faces(experiment(), place.folder)
    for _ in range(2):
        began = time.perf_counter()
        for sample in range(len(source)):
            source.rgb(sample)
    return len(source) / (time.perf_counter() - began)
