"""What only the real teacher on real faces can say before a build: whether it would start, and how long it takes."""

import time
from pathlib import Path

import torch

from cache.build import describe, refuse_another_cache
from cache.format import Unit, finished_units, read_manifest
from cache.reader import TeacherCache
from cache.runtimes import runtime_of
from cache.teachers import open_settled, refuse_width
from cache.units import rendered
from common.config import Config
from common.faces import FaceSource, Views, open_faces
from common.models import FaceModel, check_teacher, labelled_sample, refuse_evidently_wrong, warning_of
from common.plan import Plan, duration_text

SECONDS = 4.0  # for the pace, and again for the teacher's check where that is known to fit
BATCHES = 6


def rehearse(plan: Plan, config: Config, root: Path, device: torch.device, threads: int, ranks: int) -> None:
    """Add the hours to a plan. Up to about ten seconds, loading included; writes nothing.

    Raises UserError for whatever the build would refuse.
    """
    assert config.teacher is not None
    source = open_faces(config, root)
    teacher = open_settled(config, root, source, str(device), threads)
    refuse_width(config, teacher.dim)
    views, path = Views.of(config.views), config.cache_dir
    layout, manifest = describe(config, source, teacher, views)
    units = list(layout.units())
    if path.exists():
        refuse_another_cache(config, manifest, runtime_of(config.cache, teacher, threads))
        if read_manifest(path)["sealed"]:
            TeacherCache(path).require_files()
            return
        finished = finished_units(path, layout)
        units = [unit for unit in units if unit not in finished]
    passes = sum(unit.stop - unit.start for unit in units)
    if not passes:
        return
    pace = _faces_per_second(config, units, source, views, teacher)
    where = f"{ranks} ranks on {device.type}" if ranks > 1 else f"{device.type}, {threads} threads"
    plan.add("teacher's precision", teacher.describe()["precision"])
    plan.add("time", f"about {duration_text(passes / pace / ranks)} at {pace:,.0f} faces/s ({where}), measured now")
    if config.cache.check_teacher and not path.exists():
        faces, labels = labelled_sample(source)
        if 2 * len(faces) / pace < SECONDS:
            report = check_teacher(teacher, faces, labels)
            refuse_evidently_wrong(report)
            plan.add("teacher's check", warning_of(report) or f"tells people apart on {len(faces)} faces")
        else:
            plan.add("teacher's check", "by the build, or `python -m cache teacher-info`")


def _faces_per_second(config: Config, units: list[Unit], source: FaceSource, views: Views, teacher: FaceModel) -> float:
    """Decoding, rendering and the teacher together, as in a build; the first batch warms up."""
    cache, made = config.cache, 0
    began = start = time.perf_counter()
    first = 0.0
    few = [
        Unit(
            units[0].view,
            units[0].shard,
            units[0].start,
            min(units[0].stop, units[0].start + BATCHES * cache.batch_size),
        )
    ]
    for number, batch in enumerate(rendered(few, source, views, cache.batch_size, cache.workers, skip=True)):
        if batch.kept.any():
            teacher.embed(batch.faces)
        now = time.perf_counter()
        if number == 0:
            first, start = (batch.stop - batch.start) / (now - began), now
        else:
            made += batch.stop - batch.start
        if now - began > SECONDS:
            break
    return made / (time.perf_counter() - start) if made else first
