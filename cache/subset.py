"""Cut some people out of a cache: a sealed cache of its own, without asking the teacher again.

Whole identities only, so that class centres and confidences stay what they are.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cache.format import (
    Layout,
    Unit,
    describe_faces,
    layout_of,
    read_runtimes,
    read_skipped,
    record_unit,
    refuse_difference,
    refuse_too_many_shards,
    write_empty,
    write_part,
)
from cache.reader import TeacherCache
from cache.seal import seal
from common.errors import CacheError, DataError
from common.faces import FaceSource, SubsetSource
from common.files import sync
from common.writers import at_work

# A class's sums are added up in another order where shards are cut elsewhere.
ROUNDING = 1e-6


def cut_out(cache: TeacherCache, source: FaceSource, chosen: np.ndarray, out: Path) -> SubsetSource:
    """Write the rows of the chosen people, int (c,) rising labels, into a new sealed cache with their selection.

    The folder appears under its name when it is whole. Raises CacheError when the cache is not one of these faces,
    something is in the way, or the parent's centres are not those of its rows; DataError when nobody is chosen.
    """
    faces = describe_faces(source)
    refuse_difference(cache.path, cache.manifest, {"faces": faces}, ("faces",))
    rows = np.flatnonzero(np.isin(cache.labels, chosen))
    if not len(rows):
        raise DataError(f"{cache.path}: no face of the chosen people in it: choose others")
    subset = _selection(source, rows)
    layout = Layout(**{**cache.manifest["layout"], "samples": len(rows), "classes": subset.num_classes})
    parent = hashlib.sha256(json.dumps(cache.manifest, sort_keys=True).encode()).hexdigest()
    manifest = {
        **cache.manifest,
        "faces": describe_faces(subset),
        "layout": {**cache.manifest["layout"], "samples": layout.samples, "classes": layout.classes},
        "subset": {"parent": parent, "people": cache.num_classes, "samples": len(cache)},
    }
    refuse_too_many_shards(out, layout)
    with at_work(out, "a subset"):
        if os.path.lexists(out):
            raise CacheError(f"{out}: exists: choose another --out or remove it")
        making = out.with_name(f".{out.name}.cutting")  # one name, under the lock: a kill's leftover is made anew
        try:
            write_empty(making, layout, manifest, subset.labels)
            subset.save(making, parent)
            _copy_rows(cache, rows, making, layout)
            seal(making)
            _require_same_centers(cache, chosen, TeacherCache(making))
            os.rename(making, out)
            sync(out.parent)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return subset


def _selection(source: FaceSource, rows: np.ndarray) -> SubsetSource:
    """A subset of a subset selects from the whole set again."""
    if isinstance(source, SubsetSource):
        return SubsetSource(source.whole, source.samples[rows])
    return SubsetSource(source, rows)


def _copy_rows(cache: TeacherCache, rows: np.ndarray, path: Path, layout: Layout) -> None:
    reasons = read_skipped(cache.path)
    origin = _RuntimesOfRows(cache)
    for unit in layout.units():
        part = rows[unit.start : unit.stop]
        for name in layout.unit_arrays(unit):
            values = cache.stored(name, part, unit.view)
            write_part(path, layout, name, unit.view, unit.shard, values)
        record_unit(path, layout, unit, dict(_skipped(reasons, part, unit)), origin.of(part, unit.view))


class _RuntimesOfRows:
    """What rows of a cache were computed with."""

    def __init__(self, cache: TeacherCache) -> None:
        layout = layout_of(cache.manifest)
        known = read_runtimes(cache.path)
        self._shard_rows = layout.shard_rows
        self._by_unit = {(unit.view, unit.shard): known.get(unit.name, []) for unit in layout.units()}

    def of(self, rows: np.ndarray, view: int) -> list[dict[str, Any]]:
        """Runtimes of int (n,) rows in a view, each once."""
        found: list[dict[str, Any]] = []
        for shard in np.unique(rows // self._shard_rows).tolist():
            found += [runtime for runtime in self._by_unit[view, shard] if runtime not in found]
        return found


def _skipped(reasons: dict[int, str], part: np.ndarray, unit: Unit) -> Iterator[tuple[int, str]]:
    for place, sample in enumerate(part.tolist()):
        if sample in reasons:
            yield unit.start + place, reasons[sample]


def _require_same_centers(parent: TeacherCache, chosen: np.ndarray, child: TeacherCache) -> None:
    present = chosen[np.isin(chosen, parent.labels)]
    if not np.array_equal(parent.counts[present], child.counts) or not np.allclose(
        parent.centers[present], child.centers, rtol=0, atol=ROUNDING
    ):
        raise CacheError(f"{parent.path}: its class centres are not those of its rows: run `python -m cache verify`")
