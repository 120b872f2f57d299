"""Teacher caches of random unit rows in any size, for the benchmarks of sealing and reading."""

from pathlib import Path

import numpy as np

from cache.format import (
    CRC_BYTES,
    FORMAT,
    Array,
    Layout,
    create_cache,
    gather_ledger,
    read_manifest,
    record_unit,
    seal_of,
    shard_index,
    to_stored,
    write_manifest,
    write_part,
)

BLOCK = 4096


def write_unsealed(path: Path, layout: Layout, confidence: str = "center", shuffled: bool = False) -> None:
    """A store whose units are all finished. Rows repeat every BLOCK; labels come in order as in MS1MV2, or shuffled."""
    _create(path, layout, confidence, shuffled)
    raw = np.random.default_rng(0).standard_normal((BLOCK, layout.dim)).astype(np.float32)
    stored = to_stored(raw / np.linalg.norm(raw, axis=1, keepdims=True), layout.dtype)
    for unit in layout.units():
        rows = np.arange(unit.start, unit.stop)
        for name in layout.unit_arrays(unit):
            values = stored[name][rows % BLOCK] if name in stored else rows.astype(layout.arrays[name].dtype)
            write_part(path, layout, name, unit.view, unit.shard, values)
        record_unit(path, layout, unit, {}, [])


def write_sparse(path: Path, layout: Layout) -> None:
    """A sealed store of any size in no space: every shard is a hole with a valid index, its rows read as zeros.

    Only for measuring how fast a store opens; its digests are made up.
    """
    _create(path, layout, "center", False)
    entries = {}
    for unit in layout.units():
        for name in layout.unit_arrays(unit):
            file = layout.arrays[name].file(unit.view, unit.shard)
            _write_hole(path / file, layout.arrays[name], layout, unit.stop - unit.start)
            entries[file] = {"bytes": (path / file).stat().st_size, "sha256": "0" * 64}
    gather_ledger(path, entries, {})
    manifest = read_manifest(path)
    write_manifest(path, {**manifest, "sealed": seal_of(path, manifest, len(entries), {})})


def _write_hole(file: Path, array: Array, layout: Layout, rows: int) -> None:
    written, chunk = -(-rows // layout.chunk_rows), layout.chunk_rows * array.row_bytes + CRC_BYTES
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as out:
        out.truncate(written * chunk)
        out.seek(written * chunk)
        out.write(shard_index(rows, array.row_bytes, layout.shard_rows, layout.chunk_rows))


def _create(path: Path, layout: Layout, confidence: str, shuffled: bool) -> None:
    manifest = {
        "format": FORMAT,
        "teacher": {
            "name": "noise",
            "weights_sha256": "0" * 64,
            "size": [112, 112],
            "channel_order": "rgb",
            "precision": "",
        },
        "faces": {"kind": "made up", "samples": layout.samples, "identities": layout.classes, "fingerprint": ""},
        "views": {"policy": "none", "seed": 0, "count": layout.views},
        "confidence": confidence,
        "decoder": "none",
        "layout": vars(layout),
    }
    labels = (np.arange(layout.samples) * layout.classes // layout.samples).astype(np.int32)
    create_cache(path, layout, manifest, np.random.default_rng(0).permutation(labels) if shuffled else labels)
