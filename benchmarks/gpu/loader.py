"""The batches of a run, as its step gets them."""

import time
from collections.abc import Iterator

import torch

from benchmarks.gpu.demo_faces import build_cache, experiment, make_faces
from benchmarks.gpu.finding import Finding, at_least, holds, measured, needs_card
from benchmarks.gpu.machine import cores
from benchmarks.gpu.place import Place
from common.faces import open_faces
from distill.batches import TrainingBatch
from distill.loading import batches_of
from distill.run import opened_run

SHARE = 0.5  # of what as many processes decode that do nothing else


def batches(place: Place) -> Iterator[Finding]:
    """Pinned for a card, the same whatever the number of workers, and not much slower than decoding alone."""
    make_faces(place)
    build_cache(place, "cpu")
    workers = max(1, min(8, cores() - 2)) if place.card else 1
    alone, _ = epochs_of(place, 0)
    several, pace = epochs_of(place, workers)
    same = len(alone) == len(several) and all(map(equal, alone, several))
    yield holds(f"batches of {workers} worker(s) against those of none", same, f"{len(several)}", "the same")
    raw = decoded_a_second(place)
    note = f"{pace:,.0f} faces/s of {raw:,.0f} a core"
    if not place.card:
        yield measured("pace of a worker against decoding alone", pace / raw, "{:.2f}")
        yield needs_card("batches in pinned memory")
        return
    pinned = sum(part.is_pinned() for batch in several for part in batch if isinstance(part, torch.Tensor))
    whole = sum(isinstance(part, torch.Tensor) for batch in several for part in batch)
    yield holds("tensors in pinned memory", pinned == whole, f"{pinned} of {whole}", f"{whole}")
    yield at_least(f"pace of {workers} workers against decoding alone", pace / raw / workers, SHARE, "{:.2f}", note)


def epochs_of(place: Place, workers: int) -> tuple[list[TrainingBatch], float]:
    """All batches of some epochs, and the faces a second of those after the first epoch."""
    epochs = 10 if place.card else 3
    config = experiment(name=f"loader{workers}", train__workers=workers, train__epochs=epochs)
    found: list[TrainingBatch] = []
    with opened_run(config, place.folder, place.device) as run:
        for epoch in range(epochs):
            run.order.epoch, run.order.first = epoch, 0
            if epoch == 1:
                began = time.perf_counter()
            found += batches_of(run.loader)
        seconds = time.perf_counter() - began
    return found, (epochs - 1) * len(run.order) * config.train.batch_size / seconds


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
