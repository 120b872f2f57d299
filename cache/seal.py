"""Sealing: what needs every row at once. Class centres, teacher confidences, the gathered ledger, the sealed manifest.

A second pass over the stored (rounded) embeddings, one shard in memory at a time. Everything it writes follows from
the finished units alone, so a kill in the middle is mended by sealing again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cache import ledger
from cache.store import Layout, layout_of, open_arrays, read_manifest, write_manifest
from common.errors import CacheError

SEALED_ARRAYS = ("confidence", "label", "center", "count")


def seal(path: Path) -> None:
    """Seal a cache whose units are all finished.

    Raises CacheError naming the first files that are missing or whose bytes are not those written down.
    """
    layout = layout_of(read_manifest(path))
    _require_every_unit(path, layout)
    arrays = open_arrays(path, writable=True)
    labels = arrays["label"][:]
    centers, counts = class_centers(arrays, layout, labels)
    arrays["center"][:] = centers
    arrays["count"][:] = counts
    for unit in layout.units():
        rows = arrays["embedding"][unit.view, unit.start : unit.stop].astype(np.float32)
        own = centers[labels[unit.start : unit.stop]]
        arrays["confidence"][unit.view, unit.start : unit.stop] = np.einsum("nd,nd->n", rows, own)
    entries = ledger.read(path)
    for name in SEALED_ARRAYS:
        for file in sorted(p for p in (path / name).rglob("*") if p.is_file() and p.name != "zarr.json"):
            entries[file.relative_to(path).as_posix()] = ledger.entry(file)
    ledger.gather(path, entries)
    manifest = read_manifest(path)
    manifest["sealed"] = {"ledger": ledger.digest(path), "files": len(entries)}
    write_manifest(path, manifest)


def class_centers(arrays: Mapping[str, Any], layout: Layout, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit mean of each class's embeddings over all views, and its number of samples.

    Returns float32 (C,D) and int32 (C,); a class without samples has a zero centre. Sums are float64 in a fixed
    order, so the result does not depend on who computed which unit.
    """
    sums = np.zeros((layout.classes, layout.dim))
    for unit in layout.units():
        rows = arrays["embedding"][unit.view, unit.start : unit.stop].astype(np.float64)
        own = labels[unit.start : unit.stop]
        order = np.argsort(own, kind="stable")
        classes, first = np.unique(own[order], return_index=True)
        sums[classes] += np.add.reduceat(rows[order], first, axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    centers = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    return centers.astype(np.float32), np.bincount(labels, minlength=layout.classes).astype(np.int32)


def _require_every_unit(path: Path, layout: Layout) -> None:
    units = list(layout.units())
    missing = len(units) - len(ledger.finished(path, units))
    if missing:
        raise CacheError(f"{path}: {missing} of {len(units)} units are not finished: run `make cache-teacher` again")
    faults = ledger.check_files(path, ledger.read(path))
    if faults:
        raise CacheError(f"{faults[0]} ({len(faults)} file(s) damaged): mend it with `python -m cache repair`")
