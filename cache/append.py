"""More views for a cache that is there: its arrays grow on the axis of views, and the build goes on with the new units.

No finished shard is touched; centres and confidences, which depend on all views, are written anew when the cache is
sealed. The result has the bytes of a cache that was built with all the views at once.
"""

from pathlib import Path
from typing import Any

from cache.build import describe, go_on, refuse_another_cache
from cache.format import MEND, read_manifest, refuse_too_many_shards, write_manifest
from cache.runtimes import runtime_of
from cache.verify import check_store
from common.config import Config
from common.errors import CacheError
from common.faces import FaceSource, Views
from common.models import FaceModel
from common.writers import at_work


def append(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Grow a cache, sealed or not, to config.views.count views and build what is missing; returns its folder.

    Killed at any moment, the same call goes on. Raises CacheError, with nothing changed, when the cache differs from
    the experiment in anything else, has more views already, or is sealed and no longer whole; and what `build` raises.
    """
    path = config.cache_dir
    with at_work(path, "an append") as claims:
        kept = read_manifest(path)
        layout, manifest = describe(config, source, teacher, Views.of(config.views))
        count = kept["views"]["count"]
        refuse_another_cache(config, _with_views(manifest, count), runtime_of(config.cache, teacher, threads))
        if layout.views < count:
            raise CacheError(
                f"{path}: has {count} views, views.count is {layout.views}: views are added, never taken away"
            )
        if layout.views > count:
            refuse_too_many_shards(path, layout)
            if kept["sealed"] is not None:
                _refuse_damage(path, count)
            # The arrays' own metadata follow from this and are written with the seal.
            write_manifest(path, {**_with_views(kept, layout.views), "sealed": None})
        claims.share("an append")  # from here on it is a build, which others may join
        return go_on(config, source, teacher, threads, claims, quiet)


def _refuse_damage(path: Path, count: int) -> None:
    """Every file is hashed, as it will be for the new seal: a cache that could not be sealed again stays sealed."""
    faults = check_store(path)
    if faults:
        raise CacheError(
            f"{faults[0]} ({len(faults)} fault(s), nothing is appended): {MEND}, with views.count = {count}, first"
        )


def _with_views(manifest: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        **manifest,
        "views": {**manifest["views"], "count": count},
        "layout": {**manifest["layout"], "views": count},
    }
