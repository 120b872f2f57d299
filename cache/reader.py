"""Read a sealed teacher cache at the speed of memory.

cache = TeacherCache("caches/lfw")
f_t = cache.gather(samples, views)          # float32 (B,D)
cache.centers, cache.labels, cache.manifest
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cache.format import (
    BINDS_STUDENT,
    MEND,
    RowWindow,
    broken_seals,
    check_file,
    from_stored,
    layout_of,
    read_labels,
    read_ledger,
    read_manifest,
    read_rows,
    refuse_difference,
    refuse_teacher,
    wrong_metadata,
    wrong_size,
)
from common.config import ModelConfig
from common.disk import Stretch
from common.errors import CacheError
from common.models import known_of


class TeacherCache:
    """A sealed cache of V views of N samples with embeddings of width D.

    Opening reads metadata only; shards are mapped at the first gather of their array, in whichever process gathers.
    Pickles as its path, so DataLoader workers (fork or spawn) and ranks share one page cache and no copies.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises CacheError when there is no cache, it is not sealed, or its metadata or ledger were edited since."""
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        if not self.manifest["sealed"]:
            raise CacheError(f"{self.path}: the cache is not finished: run `make cache-teacher` again, it goes on")
        for broken in broken_seals(self.path, self.manifest):
            raise CacheError(f"{broken}: run `python -m cache verify`, or build the cache again")
        self.layout = layout_of(self.manifest)
        for wrong in wrong_metadata(self.path, self.layout):
            raise CacheError(f"{wrong}: {MEND}")
        self._windows: dict[str, RowWindow] = {}

    def __len__(self) -> int:
        return self.layout.samples

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    @property
    def views(self) -> int:
        """V, the number of views of every sample."""
        return self.layout.views

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""
        return self.layout.dim

    @property
    def num_classes(self) -> int:
        """C, the number of identities."""
        return self.layout.classes

    @cached_property
    def labels(self) -> np.ndarray:
        """int32 (N,), the class of every sample."""
        self._check_whole("label")
        return read_labels(self.path, self.layout)

    @cached_property
    def centers(self) -> np.ndarray:
        """float32 (C,D), unit rows: the mean direction of every class over all its views."""
        self._check_whole("center")
        return read_rows(self.path, self.layout, "center")

    @cached_property
    def counts(self) -> np.ndarray:
        """int32 (C,), samples of every class, without those that were skipped."""
        self._check_whole("count")
        return read_rows(self.path, self.layout, "count")

    @cached_property
    def skipped(self) -> np.ndarray:
        """int64, ascending: samples whose pictures do not decode. Their rows are NaN and no class counts them."""
        return np.array(sorted(map(int, self.manifest["sealed"].get("skipped", {}))), np.int64)

    def gather(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Teacher embeddings f_t of (sample, view) pairs: float32 (B,D), rows of unit length up to storage rounding.

        samples: int (B,); views: int (B,) or one number. Raises IndexError for a sample or view that is not there.
        """
        scale = self.stored("scale", samples, views) if self.layout.dtype == "int8" else None
        return from_stored(self.stored("embedding", samples, views), scale)

    def confidence(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Teacher confidence, cos(f_t, the teacher's centre of the sample's class): float32 (B,).

        The class centre, or that of the class without the sample: `cache.manifest["confidence"]`.
        """
        return self.stored("confidence", samples, views)

    def norm(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """L2 norm of the teacher's embedding before it was normalised: float32 (B,)."""
        return self.stored("norm", samples, views)

    def pixels(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """CRC-32 of the RGB bytes the teacher saw: uint32 (B,)."""
        return self.stored("pixels", samples, views)

    def picture(self, samples: np.ndarray) -> np.ndarray:
        """CRC-32 of the encoded pictures: uint32 (B,)."""
        return self.stored("picture", samples, 0)

    def stored(self, name: str, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Rows of an array by name as they are on disk, in its own type: (B,) or (B,D).

        views count for arrays that have them. Raises IndexError for a sample or view that is not there.
        """
        samples, views = np.asarray(samples, np.int64), np.asarray(views, np.int64)
        if samples.size and (samples.min() < 0 or samples.max() >= len(self)):
            raise IndexError(f"samples {samples.min()}..{samples.max()}: {self.path} has {len(self)}")
        if views.size and (views.min() < 0 or views.max() >= self.views):
            raise IndexError(f"views {views.min()}..{views.max()}: {self.path} has {self.views}")
        shards = 0 if self.layout.arrays[name].views is None else self.layout.shards
        return self._window(name).take(views * shards, samples)

    def announce(self, samples: np.ndarray, views: np.ndarray, confidence: bool) -> None:
        """Have the disk read the rows that `gather`, and `confidence`, will ask for; returns at once."""
        for name in self._arrays_of_student(confidence):
            self._window(name).announce(views * self.layout.shards, samples)

    def stretches(self, confidence: bool) -> list[Stretch]:
        """Where what a student reads lies on the disk: the pixels' digests, too, and the small arrays first.

        Raises OSError for a shard that is gone.
        """
        names = ("pixels", *self._arrays_of_student(confidence))
        files = [self.path / file for name in names for file in self.layout.shard_files(name)]
        return [Stretch(file, 0, file.stat().st_size) for file in files]

    def _arrays_of_student(self, confidence: bool) -> tuple[str, ...]:
        return (*(("confidence",) * confidence), *(("scale",) * (self.layout.dtype == "int8")), "embedding")

    def require_files(self) -> None:
        """Raises CacheError naming a file that is missing, or of another size than was written. Hashes nothing."""
        for name, written in read_ledger(self.path).items():
            fault = wrong_size(self.path, name, written)
            if fault is not None:
                raise CacheError(f"{fault}: {MEND}")

    def require(self, faces: Mapping[str, Any], views: Mapping[str, Any], decoder: str) -> None:
        """Refuse to serve a student that would see other faces, other views, or other pixels.

        Raises CacheError naming every field that differs, with both values.
        """
        wanted = {"faces": faces, "views": views, "decoder": decoder}
        refuse_difference(self.path, self.manifest, wanted, BINDS_STUDENT)

    def require_teacher(self, teacher: ModelConfig, root: Path) -> None:
        """Refuse when the config's teacher is not the one that was cached, as far as this machine can tell.

        See `common.models.identity.known_of`. Raises CacheError naming every field that differs, with both values, and
        ModelError when the weights are on this machine and do not open as the config says.
        """
        cached = self.manifest["teacher"]
        refuse_teacher(self.path, cached, known_of(teacher, root, cached))

    def _check_whole(self, name: str) -> None:
        """Compare the bytes of a small array that is read as a whole with the ledger."""
        entries = read_ledger(self.path)
        for file in self.layout.shard_files(name):
            if file not in entries:
                raise CacheError(f"{self.path / file}: not in the ledger: {MEND}")
            fault = check_file(self.path, file, entries[file])
            if fault is not None:
                raise CacheError(f"{fault}: {MEND}")

    def _window(self, name: str) -> RowWindow:
        if name not in self._windows:
            self._windows[name] = RowWindow(self.path, self.layout, name)
        return self._windows[name]
