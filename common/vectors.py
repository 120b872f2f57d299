"""Directions: rows at unit length."""

import numpy as np


def unit_rows(rows: np.ndarray, dtype: type[np.floating] = np.float64) -> np.ndarray:
    """Rows (...,D) of real numbers at unit length, computed in float64 and kept as `dtype`.

    A row of zeros stays zeros; one with a NaN or an infinity becomes NaN, for the caller to name.
    """
    lengths = np.sqrt(np.einsum("...d,...d->...", rows, rows, dtype=np.float64))[..., None]
    with np.errstate(invalid="ignore"):  # infinity / infinity
        unit: np.ndarray = np.empty(rows.shape, dtype)
        np.divide(rows, np.where(lengths > 0, lengths, 1), out=unit, casting="same_kind")
    return unit
