"""What stage one would do: `python -m cache build --check`."""

from pathlib import Path
from typing import Any

from cache.format import Layout, finished_units, layout_of, read_manifest, refuse_teacher, too_many_shards
from cache.rehearsal import rehearse
from cache.teachers import refuse_width
from common.config import Config
from common.errors import UserError
from common.faces import Views
from common.models import hub_name, kept_weights, known_of
from common.plan import Plan, free_bytes, plan_faces, size_text
from common.ranks import launched_ranks
from common.runtime import choose_device, set_threads


def plan_build(config: Config, root: Path, device: str = "cpu", threads: int | None = None) -> Plan:
    """Faces, teacher, bytes of cache, what of the cache is there already, and the time on this machine.

    What it finds nothing missing in would start. threads: of this rank, else its share of the cores.
    """
    plan = Plan(f"stage one of {config.name}: teacher cache in {config.cache_dir}")
    samples, identities = plan_faces(plan, config, root)
    width = _plan_teacher(plan, config, root)
    views = Views.of(config.views)
    plan.add("views", f"{views.count}, policy {views.policy}")
    if samples and identities:
        layout = Layout(
            views=views.count,
            samples=samples,
            dim=width or config.student.embedding_size,  # which must be the teacher's where a student reads it
            classes=identities,
            dtype=config.cache.dtype,
            shard_rows=config.cache.shard_rows,
            chunk_rows=config.cache.chunk_rows,
        )
        plan.add("teacher forward passes", f"{samples * views.count:,} in {len(list(layout.units())):,} units")
        reason = None if config.cache_dir.exists() else too_many_shards(layout)
        if reason is not None:
            plan.missing.append(reason)
        unsaid = "" if width else ", if that is the teacher's width"
        plan.add("cache", f"{size_text(layout.bytes_on_disk)} of {config.cache.dtype}, {layout.dim} wide{unsaid}")
        _plan_disk(plan, config.cache_dir, layout)
    _plan_state(plan, config.cache_dir)
    try:
        where, ranks = choose_device(device), launched_ranks()
        if not plan.missing and config.teacher is not None:
            if kept_weights(config.teacher.weights, config.teacher.revision, root) is None:
                plan.add("time", "unknown until the teacher is downloaded")
            else:
                rehearse(plan, config, root, where, set_threads(threads, ranks), ranks)
    except UserError as error:
        plan.missing.append(str(error))
    return plan


def _plan_disk(plan: Plan, path: Path, layout: Layout) -> None:
    """Add what is wrong with the room for what is not there yet."""
    written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.exists() else 0
    needed, free = layout.bytes_on_disk - written, free_bytes(path)
    if free < needed:
        plan.missing.append(
            f"{path}: {size_text(needed)} to write, {size_text(free)} free: set cache.path, or make room"
        )


def _plan_teacher(plan: Plan, config: Config, root: Path) -> int | None:
    """Add the teacher, and what is wrong with it; the width of its embeddings as far as this machine knows it."""
    teacher = config.teacher
    if teacher is None:
        plan.missing.append(f"{config.name} has no teacher: there is nothing to cache")
        return None
    recorded = _cached_teacher(config.cache_dir)
    try:
        known = known_of(teacher, root, recorded)
        if recorded:
            refuse_teacher(config.cache_dir, recorded, known)
        if "weights_sha256" in known and kept_weights(teacher.weights, teacher.revision, root) is not None:
            plan.add("teacher", f"{teacher.weights}, sha256 {known['weights_sha256'][:12]}")
        elif hub_name(teacher.weights, root) is not None:
            plan.add("teacher", f"{teacher.weights} from the HuggingFace Hub, downloaded at first use")
        else:
            plan.missing.append(
                f"{root / teacher.weights}: no teacher weights there: set teacher, or the data root (DATA=)"
            )
        width = known.get("embedding_size")
        if width is not None:
            refuse_width(config, width)
        return width
    except UserError as error:
        plan.missing.append(str(error))
        return None


def _cached_teacher(path: Path) -> dict[str, Any]:
    """The manifest's account of the teacher; {} where no cache is, or none that can be read."""
    try:
        return read_manifest(path)["teacher"] if path.exists() else {}
    except UserError:
        return {}


def _plan_state(plan: Plan, path: Path) -> None:
    """Add what of the cache is there."""
    if not path.exists():
        return plan.add("state", "not begun")
    try:
        manifest = read_manifest(path)
        layout = layout_of(manifest)
        if manifest["sealed"]:
            return plan.add("state", "finished and sealed: nothing to do")
        done, total = len(finished_units(path, layout)), sum(1 for _ in layout.units())
        plan.add(
            "state", f"goes on at unit {done + 1:,} of {total:,}" if done < total else "all units there, to be sealed"
        )
    except UserError as error:
        plan.missing.append(str(error))
