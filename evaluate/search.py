"""Nearest neighbours by inner product, with FAISS: exact, or approximate with its recall measured.

Exact search is FAISS's brute force over the gallery where it lies, in blocks: no index is built and no copy made, and
memory stays at one block of scores. With faiss-gpu and a CUDA device it runs there, else on the CPU.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from common.errors import DataError, UserError

# Probes handed to FAISS at once; a block's answer is small, its scratch memory is what this bounds.
_PROBE_BLOCK = 4096
_GPU_MAX_K = 2048
KINDS = ("exact", "ivf", "hnsw")


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
    gallery, probes = _rows(gallery, "gallery"), _rows(probes, "probe")
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


@dataclass(frozen=True)
class GalleryIndex:
    """A searchable gallery with a name a row, which can be saved and opened again.

    `recall` is the share of the exact k nearest that the index finds, measured on gallery rows when it was built;
    1 for exact.
    """

    index: faiss.Index
    names: list[str]
    kind: str
    recall: float

    @classmethod
    def build(cls, gallery: np.ndarray, names: list[str], kind: str = "exact", seed: int = 0) -> "GalleryIndex":
        """Index unit rows (G,D). kind: `exact`, `ivf` (inverted lists, compact) or `hnsw` (graph, faster, larger)."""
        rows = _rows(gallery, "gallery")
        if len(names) != len(rows) or not len(rows):
            raise DataError(f"{len(names)} names for {len(rows)} gallery rows")
        index = _empty_index(kind, len(rows), rows.shape[1], seed)
        if not index.is_trained:
            index.train(rows)
        index.add(rows)
        return cls(index, list(names), kind, 1.0 if kind == "exact" else _recall(index, rows, seed))

    def search(self, probes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`; an approximate index marks places it could not fill with index -1."""
        probes = _rows(probes, "probe")
        if probes.shape[1] != self.index.d:
            raise DataError(f"the gallery index has {self.index.d} dimensions, the probes {probes.shape[1]}")
        return self.index.search(probes, min(max(k, 1), len(self.names)))

    def save(self, folder: str | os.PathLike) -> None:
        """Write `gallery.faiss` and `gallery.json` (names, kind, recall)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        faiss.write_index(self.index, str(folder / "gallery.faiss"))
        about = {"kind": self.kind, "recall": self.recall, "names": self.names}
        (folder / "gallery.json").write_text(json.dumps(about))

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "GalleryIndex":
        """A saved gallery. Raises DataError if it is missing, damaged, or its two files do not belong together."""
        folder = Path(folder)
        try:
            about = json.loads((folder / "gallery.json").read_text())
            index = faiss.read_index(str(folder / "gallery.faiss"))
            gallery = cls(index, [str(name) for name in about["names"]], str(about["kind"]), float(about["recall"]))
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{folder}: no saved gallery, or a damaged one: {str(error).splitlines()[-1]}") from error
        if index.ntotal != len(gallery.names):
            raise DataError(
                f"{folder}: gallery.json names {len(gallery.names)} rows, gallery.faiss holds {index.ntotal}"
            )
        return gallery


def _rows(rows: np.ndarray, what: str) -> np.ndarray:
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
        resources = faiss.StandardGpuResources()
        return faiss.knn_gpu(resources, probes, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)
    return faiss.knn(probes, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)


def _empty_index(kind: str, rows: int, dim: int, seed: int) -> faiss.Index:
    if kind == "exact":
        return faiss.IndexFlatIP(dim)
    if kind == "ivf":
        # FAISS's own advice: lists about 4 sqrt(rows); a sixteenth of them probed.
        lists = int(max(1, min(4 * np.sqrt(rows), rows // 39)))
        inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        inverted.nprobe = max(1, lists // 16)
        inverted.cp.seed = seed + 1
        return inverted
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 100, 128
        return graph
    raise UserError(f"gallery index kind {kind!r}: choose one of {', '.join(KINDS)}")


def _recall(index: faiss.Index, rows: np.ndarray, seed: int, k: int = 10, samples: int = 1000) -> float:
    """Share of the exact k nearest found, for sampled gallery rows moved a little (a probe never equals its mate)."""
    generator = np.random.Generator(np.random.Philox(seed))
    chosen = generator.choice(len(rows), min(samples, len(rows)), replace=False)
    probes = (
        rows[chosen] + generator.standard_normal((len(chosen), rows.shape[1]), np.float32) * 0.5 / rows.shape[1] ** 0.5
    )
    k = min(k, len(rows))
    found, exact = index.search(probes, k)[1], search(rows, probes, k)[1]
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in zip(found, exact, strict=True)]))
