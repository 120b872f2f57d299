"""More views for a cache that is there: its arrays grow on the axis of views, and the build goes on with the new units.

No finished shard is touched; centres and confidences, which depend on all views, are written anew when the cache is
sealed. The result has the bytes of a cache that was built with all the views at once.
"""

from pathlib import Path
from typing import Any

import zarr

from cache.build import build, describe
from cache.layout import Layout
from cache.store import BINDS_BUILD, read_manifest, refuse_difference, write_manifest
from common.config import Config
from common.errors import CacheError
from common.models import FaceModel
from common.runtime import barrier, rank
from common.sources import FaceSource
from common.views import Views


def append(config: Config, source: FaceSource, teacher: FaceModel, threads: int, quiet: bool = False) -> Path:
    """Grow a cache, sealed or not, to config.views.count views and build what is missing; returns its folder.

    Killed at any moment, the same call goes on. Raises CacheError when the cache differs from the experiment in
    anything else, or has more views already, and what `build` raises.
    """
    path = config.cache_dir
    have = read_manifest(path)
    layout, manifest = describe(config, source, teacher, Views.of(config.views))
    count = have["views"]["count"]
    refuse_difference(path, have, _with_views(manifest, count), BINDS_BUILD)
    if layout.views < count:
        raise CacheError(f"{path}: has {count} views, views.count is {layout.views}: views are added, never taken away")
    if rank() == 0 and layout.views > count:
        grow(path, layout)
        grown = _with_views(have, layout.views)
        write_manifest(path, {**grown, "sealed": None})
    barrier()
    return build(config, source, teacher, threads, quiet)


def grow(path: Path, layout: Layout) -> None:
    """Give every array the shape it has in `layout`. Larger arrays than the manifest's are harmless, so this is done
    before the manifest says so, and again after a kill between the two."""
    group = zarr.open_group(path, mode="r+")
    for array in layout.arrays.values():
        stored = group[array.name]
        assert isinstance(stored, zarr.Array)
        if stored.shape != array.shape:
            stored.resize(array.shape)


def _with_views(manifest: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        **manifest,
        "views": {**manifest["views"], "count": count},
        "layout": {**manifest["layout"], "views": count},
    }
