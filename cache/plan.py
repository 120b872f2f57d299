"""What stage one would do: `python -m cache build --check`."""

import re
from pathlib import Path

from cache import ledger
from cache.layout import Layout
from cache.mapping import too_many_shards
from cache.store import layout_of, read_manifest
from common.config import Config
from common.errors import UserError
from common.plan import Plan, plan_faces, size_text
from common.views import Views


def plan_build(config: Config, root: Path) -> Plan:
    """Faces, teacher, bytes of cache, and what of the cache is there already."""
    plan = Plan(f"stage one of {config.name}: teacher cache in {config.cache_dir}")
    samples, identities = plan_faces(plan, config, root)
    _plan_teacher(plan, config, root)
    views = Views.of(config.views)
    plan.add("views", f"{views.count}, policy {views.policy}")
    if samples and identities:
        layout = Layout(
            views=views.count,
            samples=samples,
            dim=config.student.embedding_size,
            classes=identities,
            dtype=config.cache.dtype,
            shard_rows=config.cache.shard_rows,
            chunk_rows=config.cache.chunk_rows,
        )
        plan.add("teacher forward passes", f"{samples * views.count:,} in {len(list(layout.units())):,} units")
        reason = None if config.cache_dir.exists() else too_many_shards(layout)
        if reason is not None:
            plan.missing.append(reason)
        plan.add("cache", f"{size_text(layout.bytes_on_disk)} of {config.cache.dtype}, {layout.dim} wide")
    plan.add("state", _state(config.cache_dir))
    return plan


def _plan_teacher(plan: Plan, config: Config, root: Path) -> None:
    if config.teacher is None:
        plan.missing.append(f"{config.name} has no teacher: there is nothing to cache")
        return
    weights = config.teacher.weights
    path = root / weights
    if path.exists():
        plan.add("teacher", f"{path}")
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", weights) and not path.suffix:
        plan.add("teacher", f"{weights} from the HuggingFace Hub, downloaded at first use")
    else:
        plan.missing.append(f"{path}: no teacher weights there: set teacher, or the data root (DATA=)")


def _state(path: Path) -> str:
    if not path.exists():
        return "not begun"
    try:
        manifest = read_manifest(path)
        layout = layout_of(manifest)
        if manifest["sealed"]:
            return "finished and sealed"
        total = sum(1 for _ in layout.units())
        return f"{len(ledger.finished(path, layout)):,} of {total:,} units finished; a build goes on from there"
    except UserError as error:
        return str(error)
