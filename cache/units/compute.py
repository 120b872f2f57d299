"""Units of a cache: faces through the teacher, into shards, into the ledger."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from cache.format import Layout, Unit, record_unit, to_stored, withdraw_false_entry, write_part
from cache.units.open_units import OpenUnits
from cache.units.render import Batch, rendered
from common.config import Config
from common.errors import ModelError, UserError
from common.faces import FaceSource, Views
from common.models import FaceModel, embed_in_turn


def compute_units(
    units: OpenUnits,
    source: FaceSource,
    views: Views,
    teacher: FaceModel,
    config: Config,
    runtime: dict[str, Any],
) -> int:
    """Compute the units that are free; returns how many were. Raises what `cache.build.build` does.

    Decoding runs ahead of the teacher, writing and hashing behind it.
    """
    cache, computed = config.cache, 0
    parts: list[dict[str, np.ndarray]] = []
    skipped: dict[int, str] = {}
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        skip = cache.on_bad_image == "skip"
        batches = rendered(units.free(), source, views, cache.batch_size, cache.workers, skip)
        for batch, raw in embed_in_turn(teacher, ((batch, batch.faces) for batch in batches)):
            parts.append(_rows(batch, raw, source, units.layout))
            skipped |= batch.skipped
            units.advance(batch.stop - batch.start)
            units.claims.worker.done += batch.stop - batch.start
            if batch.stop == batch.unit.stop:
                if writing is not None:
                    writing.result()
                shard = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
                writing = writer.submit(_finish, units, batch.unit, shard, skipped, runtime)
                parts, skipped, computed = [], {}, computed + 1
        if writing is not None:
            writing.result()
    return computed


def _rows(batch: Batch, raw: np.ndarray, source: FaceSource, layout: Layout) -> dict[str, np.ndarray]:
    """The rows of a batch in every array, as they are stored; NaN without a picture.

    raw: the teacher's embeddings of the K faces. Their lengths are taken here, while the device is at the next batch.
    """
    rows = np.full((batch.stop - batch.start, layout.dim), np.nan, np.float32)
    norm = np.full(len(rows), np.nan, np.float32)
    if batch.kept.any():
        rows[batch.kept] = raw
        norm[batch.kept] = lengths = np.linalg.norm(raw, axis=1)
        if not np.isfinite(lengths).all() or not lengths.all():
            bad = np.flatnonzero(batch.kept)[~np.isfinite(lengths) | (lengths == 0)][0]
            raise ModelError(
                f"the teacher's embedding of {source.name(batch.start + int(bad))} (view {batch.unit.view}) is zero or "
                "not finite: check its precision and input settings with `python -m cache teacher-info`"
            )
    stored = to_stored(rows / norm[:, None], layout.dtype)
    return {**stored, "norm": norm, "pixels": batch.pixels, "picture": batch.picture}


def _finish(
    units: OpenUnits, unit: Unit, shard: dict[str, np.ndarray], skipped: dict[int, str], runtime: dict[str, Any]
) -> None:
    """Write a unit, unless this process slept so long that another has it: then it is that one's to finish."""
    try:
        written = _write(units, unit, shard, skipped, runtime)
    except (OSError, UserError):
        if units.claims.holds(unit.name):
            raise
        written = False
    if not written:
        return
    if units.claims.holds(unit.name):
        units.finish(unit)
    else:
        withdraw_false_entry(units.path, units.layout, unit)


def _write(
    units: OpenUnits, unit: Unit, shard: dict[str, np.ndarray], skipped: dict[int, str], runtime: dict[str, Any]
) -> bool:
    """The whole shard of every array, then the ledger; False as soon as the unit is another's."""
    for name in units.layout.unit_arrays(unit):
        if not units.claims.holds(unit.name):
            return False
        write_part(units.path, units.layout, name, unit.view, unit.shard, shard[name])
    if not units.claims.holds(unit.name):
        return False
    record_unit(units.path, units.layout, unit, skipped, [runtime])
    return True
