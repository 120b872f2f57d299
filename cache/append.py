"""More views for a cache that is there: its arrays grow on the axis of views, and the build goes on with the new units.

No finished shard is touched; centres and confidences, which depend on all views, are written anew when the cache is
sealed. The result has the bytes of a cache that was built with all the views at once.
"""

from pathlib import Path
from typing import Any

from cache.build import describe, go_on
from cache.format import BINDS_BUILD, read_manifest, refuse_difference, refuse_too_many_shards, write_manifest
from common.config import Config
from common.errors import CacheError
from common.faces import FaceSource, Views
from common.models import FaceModel
from common.writers import at_work


def append(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Grow a cache, sealed or not, to config.views.count views and build what is missing; returns its folder.

    Killed at any moment, the same call goes on. Raises CacheError when the cache differs from the experiment in
    anything else, or has more views already, and what `build` raises.
    """
    path = config.cache_dir
    with at_work(path, "an append") as claims:
        kept = read_manifest(path)
        layout, manifest = describe(config, source, teacher, Views.of(config.views))
        count = kept["views"]["count"]
        refuse_difference(path, kept, _with_views(manifest, count), BINDS_BUILD)
        if layout.views < count:
            raise CacheError(
                f"{path}: has {count} views, views.count is {layout.views}: views are added, never taken away"
            )
        if layout.views > count:
            refuse_too_many_shards(path, layout)
            # The arrays' own metadata follow from this and are written with the seal.
            write_manifest(path, {**_with_views(kept, layout.views), "sealed": None})
        claims.share("an append")  # from here on it is a build, which others may join
        return go_on(config, source, teacher, threads, claims, quiet)


def _with_views(manifest: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        **manifest,
        "views": {**manifest["views"], "count": count},
        "layout": {**manifest["layout"], "views": count},
    }
