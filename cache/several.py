"""What a student learns from: the cache of one teacher, or of several as one.

teacher = open_caches(config)                      # cache.also = ["caches/ir101"]
teacher.gather(samples, views)                     # float32 (B,D)

Several teach the mean of their unit embeddings, of unit length again. That supposes that they embed into one space, as
those do that were trained against the same class centres; `agreement` measures it.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cache.format import BINDS_STUDENT, bound, differences, refuse_too_many_shards
from cache.reader import TeacherCache
from common.config import Config, ModelConfig
from common.disk import Stretch
from common.errors import CacheError


class CachedTeacher(Protocol):
    """A teacher that is read instead of run: what stage two asks of it. B (sample, view) pairs, width D, C classes."""

    @property
    def path(self) -> Path:
        """The folder that messages name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What it was made of."""

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""

    @property
    def skipped(self) -> np.ndarray:
        """int64, ascending: samples whose pictures do not decode."""

    @property
    def centers(self) -> np.ndarray:
        """float32 (C,D), unit rows: the class centres; zero where a class has no samples."""

    def gather(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Embeddings f_t: float32 (B,D), rows of unit length up to storage rounding."""

    def confidence(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Cosine of f_t with the class centre: float32 (B,)."""

    def pixels(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """CRC-32 of the RGB bytes it saw: uint32 (B,)."""

    def announce(self, samples: np.ndarray, views: np.ndarray, confidence: bool) -> None:
        """Have the disk read the rows that `gather`, and `confidence`, will ask for; returns at once."""

    def stretches(self, confidence: bool) -> list[Stretch]:
        """Where what a student reads lies on the disk. Raises OSError for a shard that is gone."""

    def require(self, faces: Mapping[str, Any], views: Mapping[str, Any], decoder: str) -> None:
        """Raise CacheError naming every field in which a student would see something else."""

    def require_teacher(self, teacher: ModelConfig, root: Path) -> None:
        """Raise CacheError when it is not the experiment's teacher, as far as this machine can tell."""


class TeacherEnsemble:
    """Caches of the same views of the same faces, with embeddings of the same width, as one CachedTeacher.

    What belongs to the faces (skipped, pixels, manifest) is the first cache's.
    """

    def __init__(self, caches: Sequence[TeacherCache]) -> None:
        """Raises CacheError naming the first field in which a cache differs from the first one, with both values, and
        when this system maps no so many files for a process."""
        self.caches = tuple(caches)
        first = self.caches[0]
        for other in self.caches[1:]:
            _refuse_other_faces(first, other)
        refuse_too_many_shards(first.path, *(cache.layout for cache in self.caches))
        self.path, self.manifest, self.dim, self.skipped = first.path, first.manifest, first.dim, first.skipped
        self.pixels, self.require_teacher = first.pixels, first.require_teacher

    @cached_property
    def centers(self) -> np.ndarray:
        """float32 (C,D): the mean of the caches' unit centres, of unit length; zero where a class has no samples."""
        return _mean_direction([cache.centers for cache in self.caches])

    def gather(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """The unit mean of the caches' embeddings of (sample, view) pairs: float32 (B,D)."""
        return _mean_direction([cache.gather(samples, views) for cache in self.caches])

    def confidence(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Mean of the teachers' confidences, each by its own centres: float32 (B,)."""
        mean: np.ndarray = np.stack([cache.confidence(samples, views) for cache in self.caches]).mean(0)
        return mean

    def agreement(self) -> np.ndarray:
        """float64 (caches - 1,): mean cosine of a class's centre in the first cache and in each other; 0 by chance."""
        first = self.caches[0]
        present = first.counts > 0
        others = (other.centers for other in self.caches[1:])
        return np.array([(first.centers * centers).sum(1)[present].mean() for centers in others], np.float64)

    def announce(self, samples: np.ndarray, views: np.ndarray, confidence: bool) -> None:
        for cache in self.caches:
            cache.announce(samples, views, confidence)

    def stretches(self, confidence: bool) -> list[Stretch]:
        return [stretch for cache in self.caches for stretch in cache.stretches(confidence)]

    def require(self, faces: Mapping[str, Any], views: Mapping[str, Any], decoder: str) -> None:
        for cache in self.caches:
            cache.require(faces, views, decoder)


def open_caches(config: Config) -> TeacherCache | TeacherEnsemble:
    """The cache an experiment learns from, or all of them. Raises CacheError as TeacherCache and TeacherEnsemble do."""
    first = TeacherCache(config.cache_dir)
    return TeacherEnsemble([first, *map(TeacherCache, config.cache.also)]) if config.cache.also else first


def _mean_direction(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of unit rows, several times (B,D), at their mean length: float32 (B,D).

    That is 1 up to storage rounding, and exactly the length of rows that are all equal: the mean of one is itself.
    """
    stacked = np.stack(rows)
    mean: np.ndarray = stacked.mean(0, np.float64)
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    wanted = np.linalg.norm(stacked.astype(np.float64), axis=-1, keepdims=True).mean(0)
    mean *= np.divide(wanted, length, out=np.zeros_like(length), where=length != 0)
    return mean.astype(np.float32)


def _refuse_other_faces(first: TeacherCache, other: TeacherCache) -> None:
    there, here = _bound(other), _bound(first)
    differing = [
        f"{name} is {theirs!r} there and {ours!r} in {first.path}"
        for field in here
        for name, theirs, ours in differences(field, there[field], here[field])
    ]
    if differing:
        raise CacheError(
            f"{other.path}: cannot be combined: {'; '.join(differing)}. Caches that teach together hold the same views "
            "of the same faces, in embeddings of one width: build it again from those, or take it out of cache.also"
        )


def _bound(cache: TeacherCache) -> dict[str, Any]:
    """What caches that teach together must have in common."""
    binding = bound({name: cache.manifest[name] for name in BINDS_STUDENT})
    return {**binding, "width": cache.dim, "skipped": cache.skipped.tolist()}
