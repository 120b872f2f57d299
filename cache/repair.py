"""Take what is damaged out of a cache, so that the next build computes that and nothing else."""

import shutil
from pathlib import Path
from typing import Any

from cache import ledger
from cache.seal import SEALED_ARRAYS
from cache.store import layout_of, read_manifest, write_manifest, write_rows
from common.sources import FaceSource


def drop_damaged(path: Path, source: FaceSource) -> int:
    """Unseal a cache and forget every unit with a file that is missing or not as written; returns their number.

    Labels, which the source knows, are written again; centres, counts and confidences follow when the cache is sealed.
    The finished build has the bytes of one that was never damaged.
    """
    manifest = read_manifest(path)
    layout = layout_of(manifest)
    entries = ledger.read(path)
    healthy = {name: entry for name, entry in entries.items() if ledger.check_file(path, name, entry) is None}
    skipped = ledger.read_skipped(path)
    kept: dict[str, dict[str, Any]] = {}
    still_skipped: dict[int, str] = {}
    dropped = 0
    for unit in layout.units():
        files = layout.files_of(unit)
        if all(name in healthy for name in files):
            kept |= {name: healthy[name] for name in files}
            still_skipped |= {i: reason for i, reason in skipped.items() if unit.start <= i < unit.stop}
        elif any(name in entries or (path / name).exists() for name in files):
            dropped += 1
            for name in files:
                (path / name).unlink(missing_ok=True)
    for name in SEALED_ARRAYS:
        shutil.rmtree(path / name / "c", ignore_errors=True)
    write_rows(path, layout, "label", source.labels)
    write_manifest(path, {**manifest, "sealed": None})
    ledger.gather(path, kept, still_skipped)
    return dropped
