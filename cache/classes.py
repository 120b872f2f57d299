"""Classes of unit rows: their sums, and how close a row is to the others of its class; for the seal and the audit."""

import numpy as np


def add_to_classes(sums: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> None:
    """Add rows (n,D) of classes int (n,) to `sums` float64 (C,D), in an order that follows from the labels alone."""
    if not len(labels):
        return
    order = np.argsort(labels, kind="stable")
    classes, first = np.unique(labels[order], return_index=True)
    sums[classes] += np.add.reduceat(rows[order], first, axis=0, dtype=np.float64)


def cosines_with(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of unit rows (n,D) with `others` (n,D) of any length, float64 (n,): sums of the other rows of a class.

    0 where the others cancel out to nothing.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", others, others))
    dots = np.einsum("nd,nd->n", rows, others)
    cosines: np.ndarray = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosines
