"""Stage one: run the teacher once over every view of every face.

Data flows source -> view -> teacher -> shard -> ledger, one unit of work after another; a finished store is sealed.
Running the same build again goes on where it stopped, and ends in the same bytes. So it does on another number of
ranks; with other threads or library versions embeddings may differ in their last bits, and the ledger says so.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cache.format import (
    BINDS_BUILD,
    FORMAT,
    Layout,
    Unit,
    create_cache,
    describe_faces,
    finished_units,
    naming_a_full_disk,
    read_manifest,
    read_skipped,
    record_unit,
    refuse_difference,
    refuse_too_many_shards,
    to_stored,
    write_part,
)
from cache.render import Batch, rendered
from cache.runtimes import refuse_other, runtime_of
from cache.seal import seal
from common.config import Config
from common.errors import DataError, ModelError
from common.faces import FaceSource, Views, decoder_version
from common.locks import only_writer
from common.models import FaceModel, refuse_other_size
from common.progress import progress
from common.runtime import barrier, rank, world_size


def build(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Build or finish the cache of an experiment; returns its folder.

    With several ranks each takes its share of the unfinished units; the store's bytes do not depend on their number.
    threads: of this rank; convolutions may round differently with another number, so it is recorded with every unit.

    Raises CacheError when a cache in the same place was made from other inputs (with cache.same_runtime also: under
    another runtime) or the disk is full, ModelError when the teacher answers with numbers that are not finite or its
    weights have changed meanwhile, DataError for a picture that does not decode (unless
    cache.on_bad_image = "skip").
    """
    path = config.cache_dir
    with nullcontext() if _finished(path) else one_writer(path, "a build"):
        if rank() == 0 and not path.exists():
            layout, manifest = describe(config, source, teacher, Views.of(config.views))
            refuse_too_many_shards(path, layout)
            with naming_a_full_disk(path):
                create_cache(path, layout, manifest, source.labels)
        barrier()
        return go_on(config, source, teacher, threads, quiet)


@contextmanager
def one_writer(path: Path, what: str) -> Iterator[None]:
    """All ranks of one command write a cache together; the first holds its lock.

    Raises UserError saying who is at work on it.
    """
    with only_writer(path, what) if rank() == 0 else nullcontext():
        yield


def _finished(path: Path) -> bool:
    """Then a build only reads, and may lie where nothing can be written, a lock neither."""
    return path.exists() and read_manifest(path)["sealed"] is not None


def go_on(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Compute the units a cache lacks and seal it; for the holder of its lock. Returns its folder."""
    path = config.cache_dir
    views = Views.of(config.views)
    layout, manifest = describe(config, source, teacher, views)
    runtime = runtime_of(config.cache, teacher, threads)
    refuse_another_cache(config, manifest, runtime)
    if read_manifest(path)["sealed"]:
        return path
    mine = _unfinished(path, layout)[rank() :: world_size()]
    barrier()  # every rank has listed the units before the first one is finished
    total = sum(unit.stop - unit.start for unit in layout.units()) // world_size()
    done = max(0, total - sum(unit.stop - unit.start for unit in mine))
    with progress("teacher", total, done, quiet=quiet or rank() > 0) as advance:
        _run_units(path, layout, mine, source, views, teacher, config, runtime, advance)
    teacher.require_unchanged()
    barrier()
    if rank() == 0:
        if config.cache.same_runtime:
            refuse_other(path, runtime)  # other ranks may have another
        with naming_a_full_disk(path):
            seal(path)
    barrier()
    return path


def refuse_another_cache(config: Config, manifest: dict[str, Any], runtime: dict[str, Any]) -> None:
    """Raises CacheError or DataError where the experiment's cache is there and a build would not go on in it."""
    path = config.cache_dir
    refuse_difference(path, read_manifest(path), manifest, BINDS_BUILD)
    if config.cache.same_runtime:
        refuse_other(path, runtime)
    skipped = read_skipped(path)
    if skipped and config.cache.on_bad_image == "fail":
        raise DataError(
            f"{path}: {len(skipped)} pictures were left out, such as {next(iter(skipped.values()))}: set "
            'cache.on_bad_image = "skip", or mend them and build in another cache.path'
        )


def describe(config: Config, source: FaceSource, teacher: FaceModel, views: Views) -> tuple[Layout, dict[str, Any]]:
    """How a cache is cut, and what it is made from: what makes it this cache and no other.

    Raises DataError where the faces are not of the teacher's size.
    """
    refuse_other_size(source, teacher.size, "the teacher")
    layout = Layout(
        views=views.count,
        samples=len(source),
        dim=teacher.dim,
        classes=source.num_classes,
        dtype=config.cache.dtype,
        shard_rows=config.cache.shard_rows,
        chunk_rows=config.cache.chunk_rows,
    )
    return layout, {
        "format": FORMAT,
        "teacher": teacher.describe(),
        "faces": describe_faces(source),
        "views": views.describe(),
        "confidence": config.cache.confidence,
        "decoder": decoder_version(),
        "layout": asdict(layout),
    }


def _unfinished(path: Path, layout: Layout) -> list[Unit]:
    finished = finished_units(path, layout)
    return [unit for unit in layout.units() if unit not in finished]


def _run_units(
    path: Path,
    layout: Layout,
    units: list[Unit],
    source: FaceSource,
    views: Views,
    teacher: FaceModel,
    config: Config,
    runtime: dict[str, Any],
    advance: Callable[[int], None],
) -> None:
    """Decoding runs ahead of the teacher, writing and hashing behind it."""
    cache = config.cache
    parts: list[dict[str, np.ndarray]] = []
    skipped: dict[int, str] = {}
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for batch in rendered(units, source, views, cache.batch_size, cache.workers, cache.on_bad_image == "skip"):
            parts.append(_rows(batch, teacher, source, layout))
            skipped |= batch.skipped
            advance(batch.stop - batch.start)
            if batch.stop == batch.unit.stop:
                if writing is not None:
                    writing.result()
                shard = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                writing = writer.submit(_write, path, layout, batch.unit, shard, skipped, runtime)
                parts, skipped = [], {}
        if writing is not None:
            writing.result()


def _rows(batch: Batch, teacher: FaceModel, source: FaceSource, layout: Layout) -> dict[str, np.ndarray]:
    """The rows of a batch in every array, as they are stored; NaN without a picture."""
    rows = np.full((batch.stop - batch.start, layout.dim), np.nan, np.float32)
    norm = np.full(len(rows), np.nan, np.float32)
    if batch.kept.any():
        rows[batch.kept] = raw = teacher.embed(batch.faces)
        norm[batch.kept] = lengths = np.linalg.norm(raw, axis=1)
        if not np.isfinite(lengths).all() or not lengths.all():
            bad = np.flatnonzero(batch.kept)[~np.isfinite(lengths) | (lengths == 0)][0]
            raise ModelError(
                f"the teacher's embedding of {source.name(batch.start + int(bad))} (view {batch.unit.view}) is zero or "
                "not finite: check its precision and input settings with `python -m cache teacher-info`"
            )
    stored = to_stored(rows / norm[:, None], layout.dtype)
    return {**stored, "norm": norm, "pixels": batch.pixels, "picture": batch.picture}


def _write(
    path: Path,
    layout: Layout,
    unit: Unit,
    shard: dict[str, np.ndarray],
    skipped: dict[int, str],
    runtime: dict[str, Any],
) -> None:
    """The whole shard of every array, then the ledger."""
    for name in layout.unit_arrays(unit):
        write_part(path, layout, name, unit.view, unit.shard, shard[name])
    record_unit(path, layout, unit, skipped, [runtime])
