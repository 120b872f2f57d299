"""Sealing: what needs every row at once. Class centres, teacher confidences, the gathered ledger, the sealed manifest.

Two more passes over the stored (rounded) embeddings, one shard in memory at a time beside the sums of the classes.
Everything it writes follows from the finished units alone, so a kill in the middle is mended by sealing again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cache.classes import add_to_classes, cosines_with
from cache.format import (
    MEND,
    Layout,
    check_files,
    entry,
    finished_units,
    from_stored,
    gather_ledger,
    layout_of,
    read_labels,
    read_ledger,
    read_manifest,
    read_part,
    read_skipped,
    seal_of,
    write_manifest,
    write_metadata,
    write_part,
    write_rows,
)
from common.errors import CacheError
from common.faces import SELECTION
from common.files import sync, sync_tree
from common.vectors import unit_rows

SEALED_ARRAYS = ("confidence", "center", "count")


def seal(path: Path) -> None:
    """Seal a cache whose units are all finished.

    Raises CacheError naming the first files that are missing or whose bytes are not those written down: those of the
    units, and the labels, which the ledger binds from the beginning.
    """
    manifest = read_manifest(path)
    layout = layout_of(manifest)
    entries = _entries_of_every_unit(path, layout)
    skipped = read_skipped(path)
    if max(skipped, default=0) >= layout.samples:
        raise CacheError(f"{path}/ledger: skips sample {max(skipped)} of {layout.samples}: build the cache again")
    labels = read_labels(path, layout)
    kept = np.ones(layout.samples, bool)
    kept[list(skipped)] = False
    counts = np.bincount(labels[kept], minlength=layout.classes).astype(np.int32)
    sums = class_sums(path, layout, labels, kept)
    centers = unit_rows(sums, np.float32)
    write_rows(path, layout, "center", centers)
    write_rows(path, layout, "count", counts)
    if manifest["confidence"] == "leave_one_out":
        del centers
        confidences = leave_one_out_confidences(path, layout, labels, kept, sums, counts)
    else:
        del sums
        confidences = center_confidences(path, layout, labels, kept, centers)
    for view, shard, values in confidences:
        write_part(path, layout, "confidence", view, shard, values)
    for name in SEALED_ARRAYS:
        entries |= {file: entry(path / file) for file in layout.shard_files(name)}
    if (path / SELECTION).exists():
        entries[SELECTION] = entry(path / SELECTION)
    write_metadata(path, layout)
    _drop_leftovers(path)
    for name in SEALED_ARRAYS:
        sync_tree(path / name)
    sync(path)
    gather_ledger(path, entries, skipped)
    write_manifest(path, {**manifest, "sealed": seal_of(path, manifest, len(entries), skipped)})


def class_sums(path: Path, layout: Layout, labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Sum of each class's unit rows over all views: float64 (C,D), zeros for a class without kept samples.

    labels int (N,), kept bool (N,). Added up in a fixed order, so that it does not matter who computed which unit.
    """
    sums = np.zeros((layout.classes, layout.dim))
    for unit in layout.units():
        part = slice(unit.start, unit.stop)
        if kept[part].any():
            rows = _rows(path, layout, unit.view, unit.shard)[kept[part]]
            add_to_classes(sums, labels[part][kept[part]], rows)
    return sums


def center_confidences(
    path: Path, layout: Layout, labels: np.ndarray, kept: np.ndarray, centers: np.ndarray
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(view, shard, float32 (n,)): cosine of each row with the centre of its class, NaN where nothing is kept."""
    for unit in layout.units():
        part = slice(unit.start, unit.stop)
        cosines = np.einsum("nd,nd->n", _rows(path, layout, unit.view, unit.shard), centers[labels[part]])
        yield unit.view, unit.shard, np.where(kept[part], cosines, np.nan).astype(np.float32)


def leave_one_out_confidences(
    path: Path,
    layout: Layout,
    labels: np.ndarray,
    kept: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(view, shard, float32 (n,)): cosine of each row with the mean of the class without any view of this sample.

    A sample alone in its class keeps the class centre; where the others cancel out to nothing the cosine is 0.
    """
    for shard in range(layout.shards):
        part = slice(shard * layout.shard_rows, min((shard + 1) * layout.shard_rows, layout.samples))
        own = np.zeros((part.stop - part.start, layout.dim))
        for view in range(layout.views):
            own += _rows(path, layout, view, shard)
        own[counts[labels[part]] == 1] = 0
        others = np.subtract(sums[labels[part]], own, out=own)
        for view in range(layout.views):
            cosines = cosines_with(_rows(path, layout, view, shard), others)
            yield view, shard, np.where(kept[part], cosines, np.nan).astype(np.float32)


def _rows(path: Path, layout: Layout, view: int, shard: int) -> np.ndarray:
    scale = read_part(path, layout, "scale", view, shard) if layout.dtype == "int8" else None
    return from_stored(read_part(path, layout, "embedding", view, shard), scale)


def _entries_of_every_unit(path: Path, layout: Layout) -> dict[str, dict[str, Any]]:
    """The ledger entries of labels and units, whose files are hashed again. What an earlier seal left behind is not
    among them: it is written anew."""
    total = sum(1 for _ in layout.units())
    missing = total - len(finished_units(path, layout))
    if missing:
        raise CacheError(f"{path}: {missing} of {total} units are not finished: run `make cache-teacher` again")
    entries = read_ledger(path)
    names = [*layout.shard_files("label"), *(name for unit in layout.units() for name in layout.files_of(unit))]
    lost = next((name for name in names if name not in entries), None)
    if lost is not None:
        raise CacheError(f"{path}: its ledger has lost {lost}: {MEND}")
    wanted = {name: entries[name] for name in names}
    faults = check_files(path, wanted)
    if faults:
        raise CacheError(f"{faults[0]} ({len(faults)} file(s) damaged): {MEND}")
    return wanted


def _drop_leftovers(path: Path) -> None:
    """Remove the halves of files that killed writers left; nobody else writes now."""
    for pattern in (".*.writing", ".*.tmp"):
        for file in path.rglob(pattern):
            file.unlink()
