"""Exact nearest neighbours by inner product, with FAISS; `evaluate.gallery` has approximate ones.

It is FAISS's brute force over the gallery where it lies, in blocks: no index is built and no copy made, and
memory stays at one block of scores. With faiss-gpu and a CUDA device it runs there, else on the CPU.
"""

from functools import cache
from typing import Any

import faiss
import numpy as np

from common.errors import DataError

# Probes handed to FAISS at once; a block's answer is small, its scratch memory is what this bounds.
_PROBE_BLOCK = 4096
_GPU_MAX_K = 2048


def search(gallery: np.ndarray, probes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k gallery rows with the highest inner product to each probe, best first.

    Args:
        gallery: (G,D) float. Cosine similarity needs unit rows on both sides; nothing is normalised here.
        probes: (Q,D) float.
        k: neighbours wanted; fewer come back if the gallery is smaller.

    Returns:
        scores (Q,k) float32, descending, and indices (Q,k) int64 into the gallery.

    Raises:
        DataError: an empty gallery, shapes that do not fit, NaN or infinity, or k below 1.
    """
    gallery, probes = checked_rows(gallery, "gallery"), checked_rows(probes, "probe")
    if gallery.shape[1] != probes.shape[1]:
        raise DataError(f"gallery embeddings have {gallery.shape[1]} dimensions, probes {probes.shape[1]}")
    if k < 1 or not len(gallery):
        raise DataError(f"cannot find {k} neighbours in a gallery of {len(gallery)}")
    k = min(k, len(gallery))
    scores, indices = np.empty((len(probes), k), np.float32), np.empty((len(probes), k), np.int64)
    for start in range(0, len(probes), _PROBE_BLOCK):
        block = slice(start, start + _PROBE_BLOCK)
        scores[block], indices[block] = _nearest(probes[block], gallery, k)
    return scores, indices


def gpus() -> int:
    """CUDA devices FAISS can use: none with faiss-cpu."""
    return faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0


def checked_rows(rows: np.ndarray, what: str) -> np.ndarray:
    """Rows (N,D) as contiguous float32. Raises DataError for another shape, and naming a row with NaN or infinity."""
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.dtype.kind != "f":
        raise DataError(
            f"{what} embeddings must be a (rows, dimensions) array of floats, not {rows.dtype} {rows.shape}"
        )
    rows = np.ascontiguousarray(rows, np.float32)
    # One pass without a temporary as large as the rows: a sum is finite only if every term is.
    if not np.isfinite(rows.sum(axis=1)).all():
        raise DataError(f"{what} embedding {int(np.argmin(np.isfinite(rows.sum(axis=1))))} holds NaN or infinity")
    return rows


def _nearest(probes: np.ndarray, gallery: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    if gpus() and k <= _GPU_MAX_K:
        return faiss.knn_gpu(_gpu_resources(), probes, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
    return faiss.knn(probes, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)


@cache
def _gpu_resources() -> Any:
    # They come with 1.5 GiB of scratch memory on the card: one for all blocks.
    return faiss.StandardGpuResources()
