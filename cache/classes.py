"""Classes of unit rows: their sums, and how close a row is to the others of its class; for the seal and the audit.

Sums are whole numbers of 2^-36, so they are exact: the same bits in whatever order, and by however many threads, rows
are added. Rows stored as float16 lose nothing; others are off by 2^-37, where float32 rounds at 2^-29.
"""

import numpy as np
import torch

UNIT_BITS = 36  # a class may have 2^26 rows, 67 million, before int64 runs over
BLOCK = 4096


def whole_numbers(rows: np.ndarray) -> np.ndarray:
    """Rows (n,D) of real numbers, of length about 1, as int64 multiples of 2^-36."""
    scaled = rows * np.float32(2**UNIT_BITS)  # a power of two: exact
    return np.rint(scaled, out=scaled).astype(np.int64)


def sums_of_rows(labels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes among `labels` int (n,), rising, and the sum of each one's rows float32 (n,D): int64 (c,D)."""
    classes, places = np.unique(labels, return_inverse=True)
    sums = torch.zeros((len(classes), rows.shape[1]), dtype=torch.int64)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        sums.index_add_(0, torch.from_numpy(places[part]), torch.from_numpy(whole_numbers(rows[part])))
    return classes, sums.numpy()


def cosines_with(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of unit rows (n,D) with `others` (n,D) of any length, float64 (n,): sums of the other rows of a class.

    0 where the others cancel out to nothing.
    """
    others = others.astype(np.float64, copy=False)
    lengths = np.sqrt(np.einsum("nd,nd->n", others, others))
    dots = np.einsum("nd,nd->n", rows, others)
    cosines: np.ndarray = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosines
