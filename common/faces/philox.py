"""Counter-based random numbers: the n-th number depends on (key, n) alone, never on what was drawn before.

Philox4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), over
arrays of counters. Own code because a whole epoch's draws are made in one call, and because the words must never
change with a library: caches and runs are pinned by them.
"""

from typing import Any

import numpy as np

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


def philox(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Four random words for every counter.

    counters: (..., 4) unsigned 32-bit values; key: two 32-bit values. Returns uint32 (..., 4).
    """
    c0, c1, c2, c3 = (np.asarray(counters, np.uint64)[..., i] for i in range(4))
    return np.stack(_rounds(c0, c1, c2, c3, *key), axis=-1).astype(np.uint32)


def _rounds(c0: Any, c1: Any, c2: Any, c3: Any, k0: int, k1: int, signed: bool = False) -> tuple[Any, Any, Any, Any]:
    """Counters and words are uint64 arrays or Python's own integers: the arithmetic is the same.

    signed: they are int64, whose products wrap below zero and whose shifts bring ones in from above.
    """
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        high0, high1 = ((p0 >> 32) & _LOW, (p1 >> 32) & _LOW) if signed else (p0 >> 32, p1 >> 32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, p1 & _LOW, high0 ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def words(seed: int, stream: int, major: np.ndarray | int, minor: np.ndarray | int) -> np.ndarray:
    """uint32 (..., 4) for the position (major, minor) of a stream of a seed.

    seed: 0..2**64-1. stream: what the draw is for, so that two uses of one seed never share words.
    major: up to 2**64, minor: up to 2**32; arrays broadcast.
    """
    return np.stack(_columns(seed, stream, *np.broadcast_arrays(major, minor)), axis=-1).astype(np.uint32)


def double_words(seed: int, stream: int, major: np.ndarray, minor: int) -> np.ndarray:
    """uint64 (...): the first two `words` of each position as one number, the first in the high bits."""
    high: np.ndarray
    high, low, *_ = _columns(seed, stream, major, minor)
    high <<= np.uint64(32)
    high |= low
    return high


def _columns(seed: int, stream: int, major: Any, minor: Any) -> tuple[Any, Any, Any, Any]:
    """The four words of each position, uint64 arrays of their own: without a copy from and to rows of four."""
    major, minor = np.asarray(major, np.uint64), np.asarray(minor, np.uint64)
    return _rounds(major & _LOW, major >> 32, minor, stream, seed & _LOW, seed >> 32)


def four_words(seed: int, stream: int, major: int, minor: int) -> tuple[int, int, int, int]:
    """`words` of a single position as Python integers: a 25th of the time, which NumPy would spend on calls."""
    return _rounds(major & _LOW, major >> 32, minor, stream, seed & _LOW, seed >> 32)


def signed_words(seed: int, stream: int, major: Any, minor: Any) -> tuple[Any, Any, Any, Any]:
    """`words` where there is no uint64: of int64 tensors, on the device that they are on.

    major: int64 tensor up to 2**32; minor: an integer or a tensor. Returns the four words, int64 in 0..2**32-1.
    """
    return _rounds(major, 0, minor, stream, seed & _LOW, seed >> 32, signed=True)
