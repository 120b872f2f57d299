"""Is a cache still what was written, and would the same inputs still give it?

`check_store` re-hashes every file. `replay` renders some (sample, view) pairs again and asks the teacher again, and so
tells which of data, views or teacher is no longer what it was.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cache import ledger
from cache.reader import TeacherCache
from cache.store import layout_of, read_manifest
from common.models import FaceModel
from common.philox import words
from common.sources import FaceSource
from common.views import Views, pixel_digest

STREAM_REPLAY = 3
# Cosine of a stored and a fresh embedding: float16 rounding leaves 1e-6, another machine's convolutions 1e-5.
TOLERANCE = 1e-3
BATCH = 32


@dataclass(frozen=True)
class Replay:
    """What rendering and embedding some pairs again gave.

    pixels_differ, labels_differ: samples whose rendered bytes or labels are not those of the build. cosine: (n,) of
    stored and fresh embeddings of the pairs whose pixels agree.
    """

    pairs: int
    pixels_differ: list[int]
    labels_differ: list[int]
    cosine: np.ndarray

    def faults(self) -> list[str]:
        """One line for each input that changed."""
        lines = []
        if self.labels_differ:
            lines.append(
                f"data changed: the labels of {len(self.labels_differ)} samples, such as {self.labels_differ[0]}"
            )
        if self.pixels_differ:
            lines.append(
                f"data, views or decoder changed: {len(self.pixels_differ)} of {self.pairs} rendered faces are other "
                f"pixels, such as sample {self.pixels_differ[0]}"
            )
        if len(self.cosine) and self.cosine.min() < 1 - TOLERANCE:
            lines.append(
                f"teacher changed: on the same pixels its cosine with the cache falls to {self.cosine.min():.4f}"
            )
        return lines


def check_store(path: Path) -> list[str]:
    """One line for everything wrong with the files of a cache; empty when all are as they were written.

    Raises CacheError when there is no cache.
    """
    manifest = read_manifest(path)
    entries = ledger.read(path)
    faults = ledger.check_files(path, entries)
    if manifest["sealed"]:
        if ledger.digest(path) != manifest["sealed"]["ledger"]:
            faults.insert(0, f"{path}/ledger/zarr.json: the ledger is not the one that was sealed")
        if len(entries) != manifest["sealed"]["files"]:
            faults.insert(
                0, f"{path}: the ledger lists {len(entries)} files, {manifest['sealed']['files']} were sealed"
            )
    else:
        layout = layout_of(manifest)
        total = sum(1 for _ in layout.units())
        faults.append(f"{path}: not sealed, {len(ledger.finished(path, layout))} of {total} units finished")
    return faults


def replay(cache: TeacherCache, source: FaceSource, teacher: FaceModel, pairs: int, seed: int = 0) -> Replay:
    """Render `pairs` random (sample, view) pairs again, compare digests, and compare the teacher's answers."""
    draw = words(seed, STREAM_REPLAY, np.arange(pairs), 0).astype(np.int64)
    samples, shown = draw[:, 0] % min(len(cache), len(source)), draw[:, 1] % cache.views
    described = cache.manifest["views"]
    views = Views.from_manifest(described)
    differ, cosines = [], []
    for start in range(0, pairs, BATCH):
        part = slice(start, start + BATCH)
        faces = [
            views.render(source.rgb(int(s)), int(s), int(v)) for s, v in zip(samples[part], shown[part], strict=True)
        ]
        same = np.array([pixel_digest(face) for face in faces]) == cache.pixels(samples[part], shown[part])
        differ += samples[part][~same].tolist()
        if same.any():
            fresh = teacher.embed(np.stack([face for face, agrees in zip(faces, same, strict=True) if agrees]))
            stored = cache.gather(samples[part][same], shown[part][same])
            lengths = np.linalg.norm(fresh, axis=1) * np.linalg.norm(stored, axis=1)
            cosines.append((fresh * stored).sum(1) / lengths)
    relabelled = samples[cache.labels[samples] != source.labels[samples]].tolist()
    return Replay(pairs, differ, relabelled, np.concatenate(cosines) if cosines else np.empty(0))
