"""What a finished cache says about its faces: probable label noise, and people who are probably one.

The stored confidence cannot judge small classes: of a person with one photo it is nearly 1 whatever the photo shows,
because the class centre is made of that photo. Here every face is compared with the mean of the same person's *other*
faces (leave-one-out). Two yardsticks come from the data themselves:

    same     leave-one-out cosines of all faces of people with two or more
    other    cosines of faces with the centre of some other person

A face is suspicious below the cosine that 99.9 % of the `other` stay under; two people are suspicious when their
centres are as close as half of the faces are to their own person. Both lists hold candidates for human eyes, no more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import faiss
import numpy as np

from cache.classes import cosines_with, sums_of_rows, whole_numbers
from cache.reader import TeacherCache
from common.config import ViewsConfig
from common.errors import UserError

STRANGER_QUANTILE = 0.999
BLOCK = 16384
# Nearest people looked at for each person; more than so many true duplicates of one person are cut.
NEIGHBOURS = 32


@dataclass(frozen=True)
class Audit:
    """Everything the reports are made of.

    same: float32 (N,), leave-one-out cosine of every face, NaN where its person has no other. other: float32 (n,).
    confidence, norm: float32 (N,), of the cache, mean over views; NaN where the picture was skipped.
    noise: int64, suspicious samples, worst first. nearest, nearest_cosine: for each of them the other person it is
    closest to, -1 where there is none.
    pairs: int64 (P,2) of suspicious people, lower number first; pair_cosine: float32 (P,), falling.
    noise_below, duplicate_above: the two thresholds.
    """

    same: np.ndarray
    other: np.ndarray
    confidence: np.ndarray
    norm: np.ndarray
    noise: np.ndarray
    nearest: np.ndarray
    nearest_cosine: np.ndarray
    pairs: np.ndarray
    pair_cosine: np.ndarray
    noise_below: float
    duplicate_above: float


def audit(cache: TeacherCache, noise_below: float | None = None, duplicate_above: float | None = None) -> Audit:
    """Look through a cache. Thresholds that are not given follow from the data (module docstring).

    Raises UserError when they cannot, because no person has a second face or there is only one person; and for
    mixtures of faces.
    """
    policy = cache.manifest["views"]["policy"]
    if not ViewsConfig(policy=policy).has_labels:
        raise UserError(f"{cache.path}: its views are mixtures of two faces ({policy}), which say nothing about labels")
    same, other = leave_one_out(cache), strangers(cache)
    judged = np.isfinite(same)
    if noise_below is None:
        if not len(other):
            raise UserError(f"{cache.path}: one person only, so nothing to compare with: give --noise-below")
        noise_below = float(np.quantile(other, STRANGER_QUANTILE))
    if duplicate_above is None:
        if not judged.any():
            raise UserError(f"{cache.path}: no person has a second face to compare with: give --duplicate-above")
        duplicate_above = float(np.median(same[judged]))
    noise = np.flatnonzero(judged & (same < noise_below))
    noise = noise[np.argsort(same[noise], kind="stable")]
    nearest, nearest_cosine = nearest_strangers(cache, noise)
    pairs, pair_cosine = close_people(cache.centers, duplicate_above)
    confidence = np.concatenate([_over_views(cache, cache.confidence, block) for block in _blocks(cache)])
    norm = np.concatenate([_over_views(cache, cache.norm, block) for block in _blocks(cache)])
    return Audit(
        same, other, confidence, norm, noise, nearest, nearest_cosine, pairs, pair_cosine, noise_below, duplicate_above
    )


def leave_one_out(cache: TeacherCache) -> np.ndarray:
    """Cosine of every face with the mean of its person's other faces, mean over views: float32 (N,).

    All views of a face are left out together, since a mirrored photo says nothing new. NaN where there is no other.
    """
    sums = np.zeros((cache.num_classes, cache.dim), np.int64)
    for block in _blocks(cache):
        rows = np.nan_to_num(_mean_rows(cache, block))  # pictures that were skipped
        classes, own = sums_of_rows(cache.labels[block], rows)
        sums[classes] += own
    cosines = np.full(len(cache), np.nan, np.float32)
    for block in _blocks(cache):
        rows, labels = _mean_rows(cache, block), cache.labels[block]
        judged = (cache.counts[labels] > 1) & np.isfinite(rows[:, 0])
        cosines[block[judged]] = cosines_with(rows[judged], sums[labels[judged]] - whole_numbers(rows[judged]))
    return cosines


def strangers(cache: TeacherCache) -> np.ndarray:
    """Cosine of every face with the centre of one other person, mean over views: float32 (n,), empty for one person.

    Sample i of class c meets class c + 1 + i modulo C, so all pairs of people have their turn and no dice are thrown.
    """
    classes = cache.num_classes
    if classes < 2:
        return np.empty(0, np.float32)
    parts = []
    for block in _blocks(cache):
        other = (cache.labels[block] + 1 + block % (classes - 1)) % classes
        cosines = np.einsum("nd,nd->n", _mean_rows(cache, block), cache.centers[other])
        parts.append(cosines[np.isfinite(cosines) & (cache.counts[other] > 0)])
    return np.concatenate(parts).astype(np.float32)


def nearest_strangers(cache: TeacherCache, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The other person each face is closest to, and the cosine with that person's centre: int64 (n,), float32 (n,)."""
    if cache.num_classes < 2 or not len(samples):
        return np.full(len(samples), -1), np.full(len(samples), np.nan, np.float32)
    people, cosines = [], []
    for start in range(0, len(samples), BLOCK):
        block = samples[start : start + BLOCK]
        rows = _mean_rows(cache, block).astype(np.float32)
        score, index = faiss.knn(rows, cache.centers, 2, metric=faiss.METRIC_INNER_PRODUCT)
        own_first = (index[:, 0] == cache.labels[block]).astype(np.int64)[:, None]
        people.append(np.take_along_axis(index, own_first, 1)[:, 0])
        cosines.append(np.take_along_axis(score, own_first, 1)[:, 0])
    return np.concatenate(people), np.concatenate(cosines)


def close_people(centers: np.ndarray, above: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of classes whose unit centres (C,D) have at least this cosine, nearest first: int64 (P,2), float32 (P,).

    Exact inner products by FAISS. A pair is missed only when both have NEIGHBOURS people nearer than the other one.
    """
    found: dict[tuple[int, int], float] = {}
    for start in range(0, len(centers), BLOCK):
        block = centers[start : start + BLOCK]
        k = min(NEIGHBOURS + 1, len(centers))
        score, index = faiss.knn(block, centers, k, metric=faiss.METRIC_INNER_PRODUCT)
        for row, place in np.argwhere(score >= above):
            a, b = start + int(row), int(index[row, place])
            if a != b:
                found.setdefault((min(a, b), max(a, b)), float(score[row, place]))
    ordered = sorted(found, key=lambda pair: (-found[pair], pair))
    return np.array(ordered, np.int64).reshape(-1, 2), np.array([found[pair] for pair in ordered], np.float32)


def most_typical(same: np.ndarray, labels: np.ndarray, label: int, besides: int = -1) -> int:
    """The face of a person closest to the others, other than sample `besides`; -1 where there is none."""
    own = np.flatnonzero(labels == label)
    own = own[own != besides]
    return int(own[np.argmax(np.nan_to_num(same[own], nan=-2))]) if len(own) else -1


def _blocks(cache: TeacherCache) -> Iterator[np.ndarray]:
    for start in range(0, len(cache), BLOCK):
        yield np.arange(start, min(start + BLOCK, len(cache)))


def _mean_rows(cache: TeacherCache, samples: np.ndarray) -> np.ndarray:
    """Mean of the unit embeddings of all views of some samples: float64 (B,D)."""
    mean: np.ndarray = np.stack([cache.gather(samples, view) for view in range(cache.views)]).mean(0, np.float64)
    return mean


def _over_views(cache: TeacherCache, read: Callable[..., np.ndarray], samples: np.ndarray) -> np.ndarray:
    mean: np.ndarray = np.stack([read(samples, view) for view in range(cache.views)]).mean(0)
    return mean
