"""Is a cache still what was written, and would the same inputs still give it?

Every file is hashed again, the labels are compared with the faces where those are at hand, and on request some faces go
through the views and the teacher once more (cache/replay.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cache.format import (
    bound,
    broken_seals,
    check_files,
    describe_faces,
    finished_units,
    layout_of,
    read_ledger,
    read_manifest,
    wrong_metadata,
)
from cache.reader import TeacherCache
from cache.replay import replay
from common.config import Config
from common.errors import ConfigError
from common.faces import FaceSource, open_faces
from common.models import FaceModel


@dataclass
class Verdict:
    """What is wrong, one line each, and what else is worth saying."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self, path: Path) -> str:
        """As people read it; path: the cache's."""
        lines = [*self.notes, *(f"FAULT: {fault}" for fault in self.faults)]
        return "\n".join(lines if self.faults else [*lines, f"{path}: as it was written"])


def verify(config: Config, root: Path, pairs: int, open_teacher: Callable[[], FaceModel]) -> Verdict:
    """Look through the cache of an experiment, and replay so many faces of it; the teacher is opened for that only.

    Raises CacheError when there is no cache, and what opening faces and teacher raises.
    """
    path, faces = config.cache_dir, root / config.faces.path
    found = Verdict(check_store(path))
    if found.faults:
        return found
    if not pairs and not faces.exists():
        found.notes.append(f"{faces}: no faces there, so labels are not compared")
        return found
    cache, source = TeacherCache(path), open_faces(config, root)
    found.faults += check_faces(cache, source)
    if pairs:
        if config.teacher is None:
            raise ConfigError(f"{config.name} has no teacher to ask again: leave out --replay, or add teacher")
        replayed = replay(cache, source, open_teacher(), pairs)
        if len(replayed.cosine):
            found.notes.append(f"replayed {pairs} faces, least cosine with the cache {replayed.cosine.min():.6f}")
        found.faults += replayed.faults()
    return found


def check_store(path: Path) -> list[str]:
    """One line for everything wrong with the files of a cache; empty when all are as they were written.

    Raises CacheError when there is no cache.
    """
    manifest = read_manifest(path)
    entries = read_ledger(path)
    faults = [*wrong_metadata(path, layout_of(manifest)), *check_files(path, entries)]
    if manifest["sealed"]:
        faults = [*broken_seals(path, manifest), *faults]
        if len(entries) != manifest["sealed"]["files"]:
            faults.insert(
                0, f"{path}: the ledger lists {len(entries)} files, {manifest['sealed']['files']} were sealed"
            )
    else:
        layout = layout_of(manifest)
        total = sum(1 for _ in layout.units())
        faults.append(f"{path}: not sealed, {len(finished_units(path, layout))} of {total} units finished")
    return faults


def check_faces(cache: TeacherCache, source: FaceSource) -> list[str]:
    """One line for everything in which the faces are not those of the build: number, labels, fingerprint."""
    built, now = (bound({"faces": faces})["faces"] for faces in (cache.manifest["faces"], describe_faces(source)))
    faults = [
        f"data changed: faces.{name} was {built.get(name)!r}, is {now[name]!r}"
        for name in now
        if built.get(name) != now[name]
    ]
    if len(cache) == len(source):
        other = np.flatnonzero(cache.labels != source.labels)
        if len(other):
            faults.append(f"data changed: the labels of {len(other)} samples, such as {other[0]}")
    return faults
