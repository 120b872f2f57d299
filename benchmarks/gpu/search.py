"""Nearest neighbours against brute force, with ties."""

from collections.abc import Iterator

import faiss
import numpy as np

from benchmarks.gpu.finding import Finding, at_most, holds, needs_card
from benchmarks.gpu.place import Place
from evaluate.protocols import search

K = 10


def neighbours(place: Place) -> Iterator[Finding]:
    """`search` takes the card where FAISS sees one. Whole numbers as embeddings make every sum exact, so that scores
    have to be equal to the bit and many of them tie; unit rows then show what rounding does."""
    gallery_rows, probe_rows, dim = (100_000, 2_000, 512) if place.card else (3_000, 200, 64)
    generator = np.random.default_rng(0)
    gallery = generator.integers(-2, 3, (gallery_rows, dim)).astype(np.float32)
    gallery[gallery_rows // 2 :] = gallery[: gallery_rows - gallery_rows // 2]  # everyone is there twice
    probes = gallery[generator.choice(gallery_rows, probe_rows, replace=False)]
    where = "the card" if place.card and hasattr(faiss, "StandardGpuResources") else "the CPU"
    scores, found = search(gallery, probes, K)
    best, _ = brute_force(gallery, probes)
    wrong = int((scores != best).sum())
    yield at_most(f"whole numbers by FAISS on {where}: scores unlike brute force's", wrong, 0, "{:.0f}")
    own = np.einsum("qd,qkd->qk", probes, gallery[found])
    yield at_most("scores that are not those of the rows they name", int((own != scores).sum()), 0, "{:.0f}")
    twice = sum(len(set(row)) < K for row in found.tolist())
    yield at_most("probes that a gallery row is given to twice", twice, 0, "{:.0f}")
    yield from near_ties(place, gallery_rows, probe_rows, dim)
    if where == "the CPU":
        yield needs_card("FAISS on the card against brute force")


def near_ties(place: Place, gallery_rows: int, probe_rows: int, dim: int) -> Iterator[Finding]:
    """Unit rows: the same neighbours, but for those whose scores are closer than rounding."""
    generator = np.random.default_rng(1)
    gallery, probes = (generator.standard_normal((rows, dim)).astype(np.float32) for rows in (gallery_rows, probe_rows))
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    scores, found = search(gallery, probes, K)
    best, rows = brute_force(gallery, probes)
    yield at_most("unit rows: scores off by", float(np.abs(scores - best).max()), 1e-5)
    other = found != rows
    exact = np.einsum("qd,qkd->qk", probes.astype(np.float64), gallery[found].astype(np.float64))
    wanted = np.einsum("qd,qkd->qk", probes.astype(np.float64), gallery[rows].astype(np.float64))
    kept = bool((np.abs(exact - wanted)[other] < 1e-5).all())
    yield holds("unit rows: other neighbours", kept, f"{other.sum()} of {other.size}", "where scores are within 1e-5")


def brute_force(gallery: np.ndarray, probes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (Q,K), descending, and rows (Q,K), by NumPy, a block of probes after another; of ties the first row."""
    blocks = []
    for start in range(0, len(probes), 200):
        scores = probes[start : start + 200] @ gallery.T
        rows = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        blocks.append((np.take_along_axis(scores, rows, 1), rows))
    return np.concatenate([scores for scores, _ in blocks]), np.concatenate([rows for _, rows in blocks])
