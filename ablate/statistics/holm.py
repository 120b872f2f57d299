"""Holm's correction: of many tests, the chance of one false finding stays what it is for one test."""

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Corrected p-values, in the order and shape of `p` (..., K); the K tests of the last axis are one family.

    The smallest p is multiplied by K, the next by K - 1 and so on; none is smaller than one before it, or above 1.
    Holds however the tests depend on each other, here through the baseline they share. Source: Holm, "A simple
    sequentially rejective multiple test procedure", 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, axis=-1)
    steps = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    rising = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, rising, axis=-1)
    return corrected
