"""Stage one: run the teacher once over every view of every face.

Data flows source -> view -> teacher -> shard -> ledger, one unit of work after another; a finished store is sealed.
Running the same build again goes on where it stopped, and ends in the same bytes.
"""

import platform
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cache import ledger, store
from cache.seal import seal
from cache.store import Layout, Unit
from common.config import Config
from common.errors import CacheError, ModelError
from common.models import FaceModel
from common.pixels import decoder_version
from common.progress import progress
from common.runtime import barrier, rank, world_size
from common.sources import FaceSource
from common.views import Views, pixel_digest

BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Rendered faces of rows [start, stop) of one unit: uint8 (B,H,W,3) RGB, and their CRC-32 digests (B,)."""

    unit: Unit
    start: int
    stop: int
    faces: np.ndarray
    pixels: np.ndarray


def build(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Build or finish the cache of an experiment; returns its folder.

    With several ranks each takes its share of the unfinished units; the store's bytes do not depend on their number.
    threads: of this rank; convolutions may round differently with another number, so it is part of the manifest.

    Raises CacheError when a cache in the same place was made from other inputs, ModelError when the teacher answers
    with numbers that are not finite.
    """
    path = config.cache_dir
    views = Views.of(config.views)
    layout = Layout(
        views=views.count,
        samples=len(source),
        dim=teacher.dim,
        classes=source.num_classes,
        dtype=config.cache.dtype,
        shard_rows=config.cache.shard_rows,
        chunk_rows=config.cache.chunk_rows,
    )
    manifest = describe(source, teacher, views, config.cache.batch_size, threads)
    if rank() == 0 and not path.exists():
        store.create(path, layout, manifest, source.labels)
    barrier()
    have = store.read_manifest(path)
    store.refuse_difference(path, have, {**manifest, "layout": asdict(layout)}, store.BINDS_BUILD)
    if have["sealed"]:
        return path
    mine = _unfinished(path, layout)[rank() :: world_size()]
    barrier()  # every rank has listed the units before the first one is finished
    total = sum(unit.stop - unit.start for unit in layout.units()) // world_size()
    done = max(0, total - sum(unit.stop - unit.start for unit in mine))
    with progress("teacher", total, done, quiet=quiet or rank() > 0) as advance:
        _run_units(path, mine, source, views, teacher, config, advance)
    barrier()
    if rank() == 0:
        seal(path)
    barrier()
    return path


def describe(source: FaceSource, teacher: FaceModel, views: Views, batch: int, threads: int) -> dict[str, Any]:
    """What a cache is made from: everything that decides its bytes."""
    return {
        "format": store.FORMAT,
        "teacher": teacher.describe(),
        "faces": store.describe_faces(source),
        "views": views.describe(),
        "decoder": decoder_version(),
        "libraries": {name: version(name) for name in ("numpy", "torch", "onnxruntime", "zarr")},
        "runtime": {"machine": platform.machine(), "threads": threads, "batch_size": batch},
    }


def _unfinished(path: Path, layout: Layout) -> list[Unit]:
    units = list(layout.units())
    finished = ledger.finished(path, units)
    return [unit for unit in units if unit not in finished]


def _run_units(
    path: Path,
    units: list[Unit],
    source: FaceSource,
    views: Views,
    teacher: FaceModel,
    config: Config,
    advance: Callable[[int], None],
) -> None:
    arrays = store.open_arrays(path, writable=True)
    shard: dict[str, list[np.ndarray]] = {"embedding": [], "norm": [], "pixels": []}
    for batch in _rendered(units, source, views, config.cache.batch_size, config.cache.workers):
        raw = teacher.embed(batch.faces)
        norm = np.linalg.norm(raw, axis=1)
        if not np.isfinite(norm).all() or not norm.all():
            bad = batch.start + int(np.flatnonzero(~np.isfinite(norm) | (norm == 0))[0])
            raise ModelError(
                f"the teacher's embedding of {source.name(bad)} (view {batch.unit.view}) is zero or not finite: "
                "check its precision and input settings with `python -m cache teacher-info`"
            )
        shard["embedding"].append((raw / norm[:, None]).astype(config.cache.dtype))
        shard["norm"].append(norm.astype(np.float32))
        shard["pixels"].append(batch.pixels)
        advance(len(raw))
        if batch.stop == batch.unit.stop:
            _write(path, arrays, batch.unit, {name: np.concatenate(parts) for name, parts in shard.items()})
            for parts in shard.values():
                parts.clear()


def _rendered(units: list[Unit], source: FaceSource, views: Views, batch_size: int, workers: int) -> Iterator[Batch]:
    """Batches of all units in order, decoded a few ahead of the teacher. A batch never crosses a unit."""
    spans = [
        (unit, start, min(start + batch_size, unit.stop))
        for unit in units
        for start in range(unit.start, unit.stop, batch_size)
    ]

    def render(unit: Unit, start: int, stop: int) -> Batch:
        faces = [views.render(source.rgb(i), i, unit.view) for i in range(start, stop)]
        if len({face.shape for face in faces}) > 1:
            odd = next(i for i, face in zip(range(start, stop), faces, strict=True) if face.shape != faces[0].shape)
            raise CacheError(f"{source.name(odd)}: a face of another size than those before it: align all faces alike")
        pixels = np.array([pixel_digest(face) for face in faces], np.uint32)
        return Batch(unit, start, stop, np.stack(faces), pixels)

    if workers == 0:
        yield from (render(*span) for span in spans)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: list[Future[Batch]] = []
        try:
            for span in spans:
                ahead.append(pool.submit(render, *span))
                if len(ahead) > workers + BATCHES_AHEAD:
                    yield ahead.pop(0).result()
            while ahead:
                yield ahead.pop(0).result()
        finally:
            for future in ahead:
                future.cancel()


def _write(path: Path, arrays: dict[str, Any], unit: Unit, shard: dict[str, np.ndarray]) -> None:
    """The whole shard of every array in one call each, then the ledger."""
    for name, values in shard.items():
        arrays[name][unit.view, unit.start : unit.stop] = values
    ledger.record(path, unit)
