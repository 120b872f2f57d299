"""Sealing: what needs every row at once. Class centres, teacher confidences, the gathered ledger, the sealed manifest.

Two more passes over the stored (rounded) embeddings, a shard a thread in memory beside the sums of the classes.
Everything it writes follows from the finished units alone, however many threads share the shards, so a kill in the
middle is mended by sealing again.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cache.classes import cosines_with, sums_of_rows, whole_numbers
from cache.format import (
    MEND,
    Layout,
    Unit,
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
Part = TypeVar("Part")


def seal(path: Path, threads: int = 1) -> None:
    """Seal a cache whose units are all finished. threads: how many share the shards; the bytes are the same.

    Raises CacheError naming the first files that are missing or whose bytes are not those written down: those of the
    units, and the labels, which the ledger binds from the beginning.
    """
    manifest = read_manifest(path)
    layout = layout_of(manifest)
    entries = _entries_of_every_unit(path, layout, threads)
    skipped = read_skipped(path)
    if max(skipped, default=0) >= layout.samples:
        raise CacheError(f"{path}/ledger: skips sample {max(skipped)} of {layout.samples}: build the cache again")
    labels = read_labels(path, layout)
    kept = np.ones(layout.samples, bool)
    kept[list(skipped)] = False
    counts = np.bincount(labels[kept], minlength=layout.classes).astype(np.int32)
    sums = class_sums(path, layout, labels, kept, threads)
    centers = unit_rows(sums, np.float32)
    write_rows(path, layout, "center", centers)
    write_rows(path, layout, "count", counts)
    if manifest["confidence"] == "leave_one_out":
        del centers
        write_leave_one_out_confidences(path, layout, labels, kept, sums, counts, threads)
    else:
        del sums
        write_center_confidences(path, layout, labels, kept, centers, threads)
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


def class_sums(path: Path, layout: Layout, labels: np.ndarray, kept: np.ndarray, threads: int = 1) -> np.ndarray:
    """Sum of each class's unit rows over all views: int64 (C,D) in units of 2^-36, exact whoever adds what first.

    labels int (N,), kept bool (N,). Zeros for a class without kept samples.
    """
    sums, adding = np.zeros((layout.classes, layout.dim), np.int64), threading.Lock()

    def add(unit: Unit) -> None:
        here = kept[unit.start : unit.stop]
        if here.any():
            rows = _rows(path, layout, unit.view, unit.shard)
            classes, own = sums_of_rows(labels[unit.start : unit.stop][here], rows if here.all() else rows[here])
            with adding:
                sums[classes] += own

    _share_out(add, layout.units(), threads)
    return sums


def write_center_confidences(
    path: Path, layout: Layout, labels: np.ndarray, kept: np.ndarray, centers: np.ndarray, threads: int
) -> None:
    """The cosine of each row with the centre of its class (C,D), float32, NaN where nothing is kept."""

    def write(unit: Unit) -> None:
        part = slice(unit.start, unit.stop)
        cosines = np.einsum("nd,nd->n", _rows(path, layout, unit.view, unit.shard), centers[labels[part]])
        write_part(path, layout, "confidence", unit.view, unit.shard, np.where(kept[part], cosines, np.nan))

    _share_out(write, layout.units(), threads)


def write_leave_one_out_confidences(
    path: Path,
    layout: Layout,
    labels: np.ndarray,
    kept: np.ndarray,
    sums: np.ndarray,
    counts: np.ndarray,
    threads: int,
) -> None:
    """The cosine of each row with the mean of the class without any view of this sample, float32, NaN without a row.

    A sample alone in its class keeps the class centre; where the others cancel out to nothing the cosine is 0.
    """

    def write(shard: int) -> None:
        part = slice(shard * layout.shard_rows, min((shard + 1) * layout.shard_rows, layout.samples))
        own = np.zeros((part.stop - part.start, layout.dim), np.int64)
        for view in range(layout.views):
            own += whole_numbers(np.where(kept[part, None], _rows(path, layout, view, shard), 0))
        own[counts[labels[part]] == 1] = 0
        others = np.subtract(sums[labels[part]], own, out=own)
        for view in range(layout.views):
            cosines = cosines_with(_rows(path, layout, view, shard), others)
            write_part(path, layout, "confidence", view, shard, np.where(kept[part], cosines, np.nan))

    _share_out(write, range(layout.shards), threads)


def _share_out(work: Callable[[Part], None], parts: Iterable[Part], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass


def _rows(path: Path, layout: Layout, view: int, shard: int) -> np.ndarray:
    scale = read_part(path, layout, "scale", view, shard) if layout.dtype == "int8" else None
    return from_stored(read_part(path, layout, "embedding", view, shard), scale)


def _entries_of_every_unit(path: Path, layout: Layout, threads: int) -> dict[str, dict[str, Any]]:
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
    faults = check_files(path, wanted, threads)
    if faults:
        raise CacheError(f"{faults[0]} ({len(faults)} file(s) damaged): {MEND}")
    return wanted


def _drop_leftovers(path: Path) -> None:
    """Remove the halves of files that killed writers left; nobody else writes now."""
    for pattern in (".*.writing", ".*.tmp"):
        for file in path.rglob(pattern):
            file.unlink()
