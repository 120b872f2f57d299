"""Stage one: run the teacher once over every view of every face.

Data flows source -> view -> teacher -> shard -> ledger, one unit of work after another; a finished store is sealed.
Any number of processes, of one machine or of many on a shared disk, may run the same build at any time: each claims
units by itself (common/writers/claims.py), goes on with those of processes that died, and the last one seals. The
store's bytes do not depend on it; with other threads or library versions embeddings may differ in their last bits, and
the ledger says so.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cache.format import (
    BINDS_BUILD,
    FORMAT,
    Layout,
    create_cache,
    describe_faces,
    finished_units,
    naming_a_full_disk,
    read_manifest,
    read_skipped,
    refuse_difference,
    refuse_too_many_shards,
)
from cache.reader import TeacherCache
from cache.runtimes import refuse_other, runtime_of
from cache.seal import seal
from cache.units import OpenUnits, compute_units
from common.config import Config
from common.errors import ConfigError, DataError
from common.faces import FaceSource, Views, decoder_version
from common.files import appears
from common.models import FaceModel, refuse_other_size
from common.progress import progress
from common.ranks import launched_rank
from common.writers import STALE_SECONDS, Claims, at_work

EVERY_UNIT = slice(None)


def build(
    config: Config,
    source: FaceSource,
    teacher: FaceModel,
    threads: int,
    quiet: bool = False,
    part: slice = EVERY_UNIT,
    stale: float = STALE_SECONDS,
) -> Path:
    """Build or finish the cache of an experiment; returns its folder.

    Others may build the same cache meanwhile; this returns when it is sealed, whoever did it. part: the units to
    compute here; the cache is then sealed only if no other is missing. stale: seconds without a sign of life after
    which another process's unit is taken over.
    threads: of this process; convolutions may round differently with another number, so it is recorded with every unit.

    Raises CacheError when a cache in the same place was made from other inputs (with cache.same_runtime also: under
    another runtime), one that is sealed has visibly lost something (its shards are not hashed), or the disk is full,
    ModelError when the teacher answers with numbers that are not finite or its weights have changed meanwhile,
    DataError for a picture that does not decode (unless cache.on_bad_image = "skip"), UserError while another command
    writes the cache.
    """
    path = config.cache_dir
    layout, manifest = describe(config, source, teacher, Views.of(config.views))
    total = len(list(layout.units()))
    if not range(total)[part]:
        raise ConfigError(f"--units {part.start}:{part.stop or ''}: this cache has units 0 to {total - 1}")
    if path.exists() and read_manifest(path)["sealed"] is not None:
        # It is only read, and may lie where nothing can be written, a claim neither.
        refuse_another_cache(config, manifest, runtime_of(config.cache, teacher, threads))
        TeacherCache(path).require_files()
        return path
    with at_work(path, "a build", shared=True, stale=stale) as claims:
        _create(path, layout, manifest, source.labels, claims)
        return go_on(config, source, teacher, threads, claims, quiet, part)


def _create(path: Path, layout: Layout, manifest: dict[str, Any], labels: np.ndarray, claims: Claims) -> None:
    """Make the empty cache, or wait until another process has."""
    while not appears(path):
        if claims.take("creation") and not appears(path):
            refuse_too_many_shards(path, layout)
            with naming_a_full_disk(path):
                create_cache(path, layout, manifest, labels)
            claims.done("creation")
            return
        time.sleep(claims.pause)


def go_on(
    config: Config,
    source: FaceSource,
    teacher: FaceModel,
    threads: int,
    claims: Claims,
    quiet: bool = False,
    part: slice = EVERY_UNIT,
) -> Path:
    """Compute the units a cache lacks, beside others that do the same, and seal it. Returns its folder."""
    path = config.cache_dir
    views = Views.of(config.views)
    layout, manifest = describe(config, source, teacher, views)
    runtime = runtime_of(config.cache, teacher, threads)
    refuse_another_cache(config, manifest, runtime)
    if read_manifest(path)["sealed"] is not None:
        claims.clear()
        return path
    asked = list(layout.units())[part]
    finished = finished_units(path, layout, asked)
    left = [unit for unit in asked if unit not in finished]
    total, done = (sum(unit.stop - unit.start for unit in units) for units in (asked, finished))
    with progress("teacher", total, done, quiet=quiet or launched_rank() > 0) as advance:
        units = OpenUnits(path, layout, left, claims, advance)
        while units.left:
            if not compute_units(units, source, views, teacher, config, runtime):
                time.sleep(claims.pause)
            units.look()
    teacher.require_unchanged()
    if part == EVERY_UNIT or len(finished_units(path, layout)) == len(list(layout.units())):
        if config.cache.same_runtime:
            refuse_other(path, runtime)  # other processes may have another
        seal_once(path, claims, threads)
    return path


def seal_once(path: Path, claims: Claims, threads: int) -> None:
    """Seal a cache by so many threads, or wait until another process has; one that dies over it is replaced."""
    while read_manifest(path)["sealed"] is None:
        if claims.take("seal"):
            if read_manifest(path)["sealed"] is None:
                with naming_a_full_disk(path):
                    seal(path, threads)
            break
        time.sleep(claims.pause)
    claims.clear()


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


def units_of(config: Config, source: FaceSource, teacher: FaceModel) -> int:
    """How many units the experiment's cache has."""
    layout, _ = describe(config, source, teacher, Views.of(config.views))
    return len(list(layout.units()))


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
