"""1:N identification of templates. Two protocols go by the name "IJB 1:N"; both are here, under their own names.

`closed_set` (InsightFace's `ijb_1n.py`): galleries G1 and G2 as one. Rank-k over all probes. Its "TPIR at FPIR x" is
the share of probes whose mate scores above the ceil(x Q)-th highest of *all* wrong probe-gallery scores pooled (Q
probes), whatever its rank.

`two_galleries` (NIST's IJB protocol, InsightFace's `ijb_evals.py`): each gallery alone; probes whose person is only
in the other one are the strangers. The threshold is the max(int(n x) - 1, 0)-th highest of the n strangers' best
scores, counted from 0; a hit must be at rank 1 and above it. TPIR is the mean of the two galleries.

Scores equal to the threshold do not count as above it. A person is one template in a gallery. Scores are those
of the exact search (`nearest`), in float32, on a GPU where FAISS has one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.embeddings import search
from common.errors import DataError

IDENTIFICATION_RANKS = (1, 5, 10)
FPIRS = (0.01, 0.1)
# Neighbours of a probe that are asked for at first: its mate is among them, or the probe is asked for more.
_DEPTH = 64
# Probe-neighbour pairs of a search.
_PAIRS = 1 << 22


@dataclass(frozen=True)
class Identification:
    """Rates of one protocol, as fractions, by rank and by FPIR."""

    probes: int
    rank: dict[int, float]
    tpir_at_fpir: dict[float, float]
    threshold: dict[float, tuple[float, ...]]  # one score a gallery
    mate_ranks: np.ndarray  # (probes with a mate,) int64, 1 is best: the data of a CMC curve


@dataclass(frozen=True)
class Gallery:
    """Unit rows (G,D) and whose they are (G,)."""

    rows: np.ndarray
    subjects: np.ndarray

    def __post_init__(self) -> None:
        unique, times = np.unique(self.subjects, return_counts=True)
        if (times > 1).any():
            raise DataError(
                f"person {unique[np.argmax(times)]} is in the gallery {times.max()} times; once is the protocol"
            )

    def mates(self, subjects: np.ndarray) -> np.ndarray:
        """Gallery row of each probe's person, -1 if the person is not there."""
        order = np.argsort(self.subjects)
        place = np.minimum(np.searchsorted(self.subjects[order], subjects), len(order) - 1)
        return np.where(self.subjects[order][place] == subjects, order[place], -1)


def closed_set(
    galleries: Sequence[Gallery],
    probes: np.ndarray,
    subjects: np.ndarray,
    ranks: Sequence[int] = IDENTIFICATION_RANKS,
    fpirs: Sequence[float] = FPIRS,
) -> Identification:
    """All galleries as one. Probes are unit rows (Q,D), `subjects` (Q,). Raises DataError if a probe has no mate."""
    gallery = Gallery(np.concatenate([g.rows for g in galleries]), np.concatenate([g.subjects for g in galleries]))
    mates = gallery.mates(subjects)
    if (mates < 0).any():
        lost = subjects[np.argmin(mates)]
        raise DataError(f"{int((mates < 0).sum())} probes have no mate in the gallery (person {lost} first)")
    wanted = [max(1, int(np.ceil(len(probes) * fpir))) for fpir in fpirs]
    mate_scores, mate_ranks, wrong = _among_all(gallery.rows, probes, mates, max(wanted))
    thresholds = [float(wrong[min(count, len(wrong)) - 1]) if len(wrong) else -np.inf for count in wanted]
    return Identification(
        probes=len(probes),
        rank={k: float(np.mean(mate_ranks <= k)) for k in ranks},
        tpir_at_fpir={
            fpir: float(np.mean(mate_scores > threshold)) for fpir, threshold in zip(fpirs, thresholds, strict=True)
        },
        threshold={fpir: (threshold,) for fpir, threshold in zip(fpirs, thresholds, strict=True)},
        mate_ranks=mate_ranks,
    )


def two_galleries(
    galleries: Sequence[Gallery],
    probes: np.ndarray,
    subjects: np.ndarray,
    ranks: Sequence[int] = IDENTIFICATION_RANKS,
    fpirs: Sequence[float] = FPIRS,
) -> Identification:
    """Each gallery alone, the other's people as strangers. Raises DataError if one has no mates or no strangers."""
    all_ranks, tpirs, thresholds = [], [], []
    for number, gallery in enumerate(galleries, start=1):
        mates = gallery.mates(subjects)
        known = mates >= 0
        if known.all() or not known.any():
            raise DataError(f"gallery G{number} has {int(known.sum())} known probes of {len(probes)}: no open set")
        scores, mate_ranks, _ = _among_all(gallery.rows, probes[known], mates[known], 1)
        strangers = np.sort(search(gallery.rows, probes[~known], 1)[0][:, 0])[::-1]
        cuts = [float(strangers[max(int(len(strangers) * fpir) - 1, 0)]) for fpir in fpirs]
        tpirs.append([float(np.mean((mate_ranks == 1) & (scores > cut))) for cut in cuts])
        thresholds.append(cuts)
        all_ranks.append(mate_ranks)
    mate_ranks = np.concatenate(all_ranks)
    return Identification(
        probes=len(mate_ranks),
        rank={k: float(np.mean(mate_ranks <= k)) for k in ranks},
        tpir_at_fpir={fpir: float(np.mean([tpir[n] for tpir in tpirs])) for n, fpir in enumerate(fpirs)},
        threshold={fpir: tuple(cuts[n] for cuts in thresholds) for n, fpir in enumerate(fpirs)},
        mate_ranks=mate_ranks,
    )


def _among_all(
    gallery: np.ndarray, probes: np.ndarray, mates: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every probe's mate among the whole gallery, and who comes before it.

    All scores are those of one exact search, so that rounding makes no mate its own rival: the first neighbours of each
    probe, then more of those probes for which they do not tell.

    Args:
        mates: (Q,) gallery row of each probe's person.
        count: how many of the highest wrong scores are wanted.

    Returns:
        scores (Q,) float32 and ranks (Q,) of the mates (1 is best, equal scores do not count against a mate), and the
        `count` highest scores between a probe and a person it is not, descending.
    """
    scores, ranks, wrong = np.empty(len(probes), np.float32), np.empty(len(probes), np.int64), np.empty(0, np.float32)
    asked = _parts(np.arange(len(probes)), min(_DEPTH, len(gallery)))
    while asked:
        rows, depth = asked.pop()
        near, found = search(gallery, probes[rows], depth)
        is_mate = found == mates[rows][:, None]
        there = is_mate.any(axis=1)
        mate_scores = near[np.arange(len(rows)), is_mate.argmax(axis=1)]
        # What lies beyond the neighbours found is not above the last of them.
        told = there & (near[:, -1] <= _lowest_wanted(np.concatenate([wrong, near[~is_mate]]), count))
        told |= depth == len(gallery)
        scores[rows[told]] = mate_scores[told]
        ranks[rows[told]] = 1 + (near[told] > mate_scores[told][:, None]).sum(axis=1)
        wrong = _highest(np.concatenate([wrong, near[told][~is_mate[told]]]), count)
        asked += _parts(rows[~told], min(8 * depth, len(gallery)))
    return scores, ranks, wrong


def _parts(rows: np.ndarray, depth: int) -> list[tuple[np.ndarray, int]]:
    """Rows in blocks whose neighbours take a bounded amount of memory."""
    height = max(1, _PAIRS // depth)
    return [(rows[at : at + height], depth) for at in range(0, len(rows), height)]


def _lowest_wanted(scores: np.ndarray, count: int) -> float:
    """The `count`-th highest score; what is not above it cannot be one of the `count` highest."""
    return float(_highest(scores, count)[-1]) if len(scores) >= count else -np.inf


def _highest(scores: np.ndarray, count: int) -> np.ndarray:
    """The `count` highest, descending."""
    if len(scores) > count:
        scores = np.partition(scores, len(scores) - count)[len(scores) - count :]
    return np.sort(scores)[::-1]
