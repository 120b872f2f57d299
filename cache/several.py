"""Several teachers' caches of the same faces, behind the interface of one.

caches = open_caches(config)                       # cache.also = ["caches/ir101"], cache.combine = "mean"
caches.of_epoch(epoch).gather(samples, views)      # float32 (B,D)

`mean` teaches the mean of the unit embeddings, of unit length again; `epoch` lets one teacher after the other teach for
an epoch. Both suppose that the teachers embed into one space, as those do that were trained against the same class
centres; `agreement` measures it.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cache.format import BINDS_STUDENT, bound
from cache.reader import TeacherCache
from common.config import Config, ModelConfig
from common.errors import CacheError


class SeveralCaches:
    """Caches of the same views of the same faces, with embeddings of the same width; reads like a TeacherCache.

    What belongs to the faces (labels, counts, pixels, manifest) is the first cache's.
    """

    def __init__(self, caches: Sequence[TeacherCache], combine: Literal["mean", "epoch"]) -> None:
        """Raises CacheError naming the first field in which a cache differs from the first one, with both values."""
        self.caches, self.combine = tuple(caches), combine
        first = self.caches[0]
        for other in self.caches[1:]:
            _refuse_other_faces(first, other)
        self.path, self.manifest = first.path, first.manifest

    def __len__(self) -> int:
        return len(self.caches[0])

    @property
    def views(self) -> int:
        """V, the number of views of every sample."""
        return self.caches[0].views

    @property
    def dim(self) -> int:
        """D, the width of an embedding."""
        return self.caches[0].dim

    @property
    def num_classes(self) -> int:
        """C, the number of identities."""
        return self.caches[0].num_classes

    @property
    def labels(self) -> np.ndarray:
        """int32 (N,), the class of every sample."""
        return self.caches[0].labels

    @property
    def counts(self) -> np.ndarray:
        """int32 (C,), samples of every class."""
        return self.caches[0].counts

    @property
    def skipped(self) -> np.ndarray:
        """int64, ascending: samples whose pictures do not decode, the same in all caches."""
        return self.caches[0].skipped

    @cached_property
    def centers(self) -> np.ndarray:
        """float32 (C,D): the mean of the caches' unit centres, of unit length; zero where a class has no samples."""
        return _mean_direction([cache.centers for cache in self.caches])

    def of_epoch(self, epoch: int) -> "Teachers":
        """What teaches in an epoch: all of them for `mean`; for `epoch` number `epoch` modulo their number."""
        return self if self.combine == "mean" else self.caches[epoch % len(self.caches)]

    def gather(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """The unit mean of the caches' embeddings of (sample, view) pairs: float32 (B,D)."""
        return _mean_direction([cache.gather(samples, views) for cache in self.caches])

    def confidence(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Mean of the teachers' confidences, each by its own centres: float32 (B,)."""
        return np.stack([cache.confidence(samples, views) for cache in self.caches]).mean(0)

    def norm(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """Mean of the teachers' norms: float32 (B,)."""
        return np.stack([cache.norm(samples, views) for cache in self.caches]).mean(0)

    def pixels(self, samples: np.ndarray, views: np.ndarray | int) -> np.ndarray:
        """CRC-32 of the RGB bytes the teachers saw: uint32 (B,)."""
        return self.caches[0].pixels(samples, views)

    def agreement(self) -> np.ndarray:
        """float64 (caches - 1,): mean cosine of a class's centre in the first cache and in each other; 0 by chance."""
        first, some = self.caches[0].centers, self.counts > 0
        return np.array([(first * other.centers).sum(1)[some].mean() for other in self.caches[1:]], np.float64)

    def require(self, faces: Mapping[str, Any], views: Mapping[str, Any], decoder: str) -> None:
        """As TeacherCache.require, for every cache."""
        for cache in self.caches:
            cache.require(faces, views, decoder)

    def require_teacher(self, teacher: ModelConfig, root: Path) -> None:
        """The experiment's teacher must be that of the first cache."""
        self.caches[0].require_teacher(teacher, root)


Teachers = TeacherCache | SeveralCaches


def open_caches(config: Config) -> Teachers:
    """The cache an experiment learns from, or all of them. Raises CacheError as TeacherCache and SeveralCaches do."""
    first = TeacherCache(config.cache_dir)
    if not config.cache.also:
        return first
    return SeveralCaches([first, *map(TeacherCache, config.cache.also)], config.cache.combine)


def _mean_direction(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of unit rows, several times (B,D), at their mean length: float32 (B,D).

    That is 1 up to storage rounding, and exactly the length of rows that are all equal: the mean of one is itself.
    """
    stacked = np.stack(rows)
    mean = stacked.mean(0, np.float64)
    length = np.linalg.norm(mean, axis=-1, keepdims=True)
    wanted = np.linalg.norm(stacked.astype(np.float64), axis=-1, keepdims=True).mean(0)
    return (mean * np.divide(wanted, length, out=np.zeros_like(length), where=length != 0)).astype(np.float32)


def _refuse_other_faces(first: TeacherCache, other: TeacherCache) -> None:
    have, want = _bound(other), _bound(first)
    differing = [
        f"{name} is {have.get(name)!r} there and {want.get(name)!r} in {first.path}"
        for name in sorted({*have, *want})
        if have.get(name) != want.get(name)
    ]
    if differing:
        raise CacheError(
            f"{other.path}: cannot be combined: {'; '.join(differing)}. Caches that teach together hold the same views "
            "of the same faces, in embeddings of one width: build it again from those, or take it out of cache.also"
        )


def _bound(cache: TeacherCache) -> dict[str, Any]:
    """What caches that teach together must have in common, by dotted name."""
    binding = bound({name: cache.manifest[name] for name in BINDS_STUDENT})
    return dict(_leaves({**binding, "width": cache.dim, "skipped": cache.skipped.tolist()}))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}".lstrip("."))
    else:
        yield name, value
