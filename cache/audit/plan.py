"""What an audit would do: `python -m cache audit --check`."""

from pathlib import Path

from cache.format import describe_faces, refuse_difference
from cache.reader import TeacherCache
from common.config import Config
from common.errors import UserError
from common.faces import open_faces
from common.plan import Plan, plan_faces


def plan_audit(config: Config, root: Path, out: Path) -> Plan:
    """Faces and cache, and whether they belong together; out: folder of the report."""
    plan = Plan(f"audit of {config.cache_dir}: report in {out}")
    plan_faces(plan, config, root)
    try:
        cache = TeacherCache(config.cache_dir)
        plan.add("cache", f"{len(cache):,} faces of {cache.num_classes:,} people")
        if not plan.missing:
            faces = {"faces": describe_faces(open_faces(config, root))}
            refuse_difference(cache.path, cache.manifest, faces, ("faces",))
    except UserError as error:
        plan.missing.append(str(error))
    return plan
