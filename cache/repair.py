"""Take what is damaged out of a cache and compute that and nothing else again.

Nothing is changed before it is known that the cache can be sealed again: it is one of this teacher, these faces and
these views, and its ledger can be read. Then it is unsealed first of all, so that whatever a kill leaves behind is an
unfinished cache, which the same command or a build finishes.
"""

import shutil
from pathlib import Path
from typing import Any

from cache.build import describe, go_on, refuse_another_cache
from cache.format import (
    check_file,
    describe_faces,
    entry,
    gather_ledger,
    layout_of,
    read_ledger,
    read_manifest,
    read_skipped,
    refuse_difference,
    write_manifest,
    write_rows,
)
from cache.runtimes import runtime_of
from common.config import Config
from common.faces import FaceSource, Views
from common.files import sync_tree
from common.models import FaceModel
from common.writers import at_work


def repair(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Mend the cache of an experiment, sealed or not; returns its folder, which has the bytes of an undamaged build.

    Raises CacheError or DataError, with nothing changed, when the cache was made from anything else, its ledger is
    damaged, or a build would be refused; and what `build` raises.
    """
    path = config.cache_dir
    with at_work(path, "a repair") as claims:
        _, manifest = describe(config, source, teacher, Views.of(config.views))
        refuse_another_cache(config, manifest, runtime_of(config.cache, teacher, threads))
        dropped = drop_damaged(path, source)
        if not quiet:
            print(f"{dropped} damaged or unfinished unit(s) to compute again", flush=True)
        claims.share("a repair")  # from here on it is a build, which others may join
        return go_on(config, source, teacher, threads, claims, quiet)


def drop_damaged(path: Path, source: FaceSource) -> int:
    """Unseal a cache and forget every unit with a file that is missing or not as written; returns their number.

    Labels, which the source knows, are written again; centres, counts and confidences are when the cache is sealed.
    Raises CacheError, with nothing changed, when the faces are others or the ledger is damaged.
    """
    manifest = read_manifest(path)
    refuse_difference(path, manifest, {"faces": describe_faces(source)}, ("faces",))
    layout, entries, skipped = layout_of(manifest), read_ledger(path), read_skipped(path)
    whole = {name for name, wanted in entries.items() if check_file(path, name, wanted) is None}
    kept: dict[str, dict[str, Any]] = {}
    still_skipped: dict[int, str] = {}
    damaged = []
    for unit in layout.units():
        files = layout.files_of(unit)
        if whole.issuperset(files):
            kept |= {name: entries[name] for name in files}
            still_skipped |= {i: reason for i, reason in skipped.items() if unit.start <= i < unit.stop}
        elif any(name in entries or (path / name).exists() for name in files):
            damaged.append(unit)
    write_manifest(path, {**manifest, "sealed": None})
    for name in layout.arrays:
        for file in (f"{name}/zarr.json", *layout.shard_files(name)):
            if (path / file).is_dir():
                shutil.rmtree(path / file)
    write_rows(path, layout, "label", source.labels)
    sync_tree(path / "label")
    kept |= {name: entry(path / name) for name in layout.shard_files("label")}
    gather_ledger(path, kept, still_skipped)
    for unit in damaged:
        for name in layout.files_of(unit):
            (path / name).unlink(missing_ok=True)
    return len(damaged)
