"""Rendered pixels are compared with what the teacher saw, in the worker that has them at hand anyway."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np

from cache.several import CachedTeacher
from common.config import Verify
from common.errors import CacheError
from common.faces import pixel_digest, words

STREAM_PIXEL_CHECK = 17
SHARE = 0.01


def checked_rows(verify: Verify, samples: np.ndarray, epoch: int) -> np.ndarray:
    """Which rows of a batch (B,) are compared: none, all, or each with probability `SHARE` and at least one.

    A sample's draw is a pure function of its number and the epoch, so each epoch looks at others.
    """
    match verify:
        case "off":
            return np.arange(0)
        case "all":
            return np.arange(len(samples))
        case "sample":
            if not len(samples):
                return np.arange(0)
            word = words(0, STREAM_PIXEL_CHECK, samples, epoch)[:, 0]
            return np.union1d(np.flatnonzero(word < SHARE * 2**32), word.argmin())
        case unknown:
            assert_never(unknown)


def check_pixels(
    cache: CachedTeacher,
    samples: np.ndarray,
    views: np.ndarray,
    epoch: int,
    faces: Sequence[np.ndarray],
    verify: Verify,
) -> None:
    """Compare digests of rendered faces, uint8 (H,W,3) each, with those the cache holds for these samples and views.

    Raises CacheError naming the first sample and view that differ, and both digests.
    """
    rows = checked_rows(verify, samples, epoch)
    seen = cache.pixels(samples[rows], views[rows])
    for row, expected in zip(rows, seen, strict=True):
        digest = pixel_digest(faces[row])
        if digest != expected:
            raise CacheError(
                f"{cache.path}: view {views[row]} of sample {samples[row]} has pixels {digest:08x}, the teacher saw "
                f"{expected:08x}: the faces changed on disk, or in memory, after the cache was built. Restore them, or "
                "build the cache anew; `python -m cache verify` looks through all of it"
            )
