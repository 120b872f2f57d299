"""Counter-based random numbers: the n-th number depends on (key, n) alone, never on what was drawn before.

Philox4x32 with ten rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011), over
arrays of counters. Own code because a whole epoch's draws are made in one call, and because the words must never
change with a library: caches and runs are pinned by them.
"""

import numpy as np

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Four random words for every counter.

    counters: (..., 4) unsigned 32-bit values; key: two 32-bit values. Returns uint32 (..., 4).
    """
    c0, c1, c2, c3 = (np.asarray(counters, np.uint64)[..., i] for i in range(4))
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def words(seed: int, stream: int, major: np.ndarray | int, minor: np.ndarray | int) -> np.ndarray:
    """uint32 (..., 4) for the position (major, minor) of a stream of a seed.

    seed: 0..2**64-1. stream: what the draw is for, so that two uses of one seed never share words.
    major: up to 2**64, minor: up to 2**32; arrays broadcast.
    """
    major, minor = np.broadcast_arrays(np.asarray(major, np.uint64), np.asarray(minor, np.uint64))
    counters = np.stack([major & _LOW, major >> _HALF, minor, np.full_like(major, stream)], axis=-1)
    return philox(counters, (seed & 0xFFFFFFFF, seed >> 32))
