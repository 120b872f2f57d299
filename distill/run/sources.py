"""What a run learned from, kept in its own folder: a student can be told of where its caches no longer are."""

from pathlib import Path
from typing import Any

from cache.format import describe_faces, read_manifest
from common.config import Config
from common.faces import FaceSource
from common.files import write_json

SOURCES = "sources.json"


def write_sources(config: Config, source: FaceSource) -> None:
    """Write the faces and the manifest of every cache (seals, teacher, views) into the run folder.

    Reasons for pictures left out stay in the cache; how many there are is kept.
    """
    folders = [config.cache_dir, *map(Path, config.cache.also)] if config.reads_teacher else []
    manifests = [read_manifest(folder) for folder in folders]
    for manifest in manifests:
        manifest["sealed"] = {**manifest["sealed"], "skipped": len(manifest["sealed"].get("skipped", {}))}
    kept: dict[str, Any] = {"faces": describe_faces(source), "caches": manifests}
    write_json(config.run_dir / SOURCES, kept, sort_keys=False)
