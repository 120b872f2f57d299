"""IJB-B and IJB-C: template verification (1:1) and identification (1:N).

Published numbers differ by three letters: N and D say how rows are pooled (`evaluate.protocols.pooling`), F whether the
mirror image was added to each row (`common.embeddings`). Every result here carries them, for example N1D1F1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.errors import DataError
from evaluate.protocols.identification import IDENTIFICATION_RANKS, Gallery, Identification, closed_set, two_galleries
from evaluate.protocols.impostors import RoundedScores
from evaluate.protocols.metrics import Point, Roc, summarised
from evaluate.protocols.pair_scores import PairScorer
from evaluate.protocols.pooling import COMMON, Pooling, pool_templates

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
TEMPLATE_ARRAYS = ("faceness_scores", "templates", "medias", "p1", "p2", "label")
GALLERIES = ("g1_templates", "g1_subjects", "g2_templates", "g2_subjects", "probe_templates", "probe_subjects")
# Up to here all scores are float64. IJB-B and IJB-C are above: there float32 halves the time, and `RoundedScores`
# computes again in float64 what a rate hangs on.
_EXACT_PAIRS = 2_000_000
# Impostor pairs whose rounding is measured, beside all genuine ones, and the room left for what others may deviate.
_MEASURED, _ROOM = 1 << 13, 3


@dataclass(frozen=True)
class PoolingResult:
    """What one pooling gives. Rates are fractions."""

    tar_at_far: dict[float, Point]  # at the nearest FAR, as the public evaluators print it
    tar_at_most_far: dict[float, Point]  # the conservative reading
    auc: float
    eer: float
    closed_set: Identification | None
    two_galleries: Identification | None
    roc: Roc


@dataclass(frozen=True)
class TemplateResult:
    """IJB result, by pooling letters such as `N1D1`; `flip` is the third letter, None where it is not known."""

    rows: int
    templates: int
    pairs: int
    genuine: int
    flip: bool | None
    poolings: dict[str, PoolingResult]

    @property
    def letters(self) -> dict[str, str]:
        """Full protocol letters by pooling: N1D1 -> N1D1F1 (F? where it is not known whether rows hold mirrors)."""
        flip = "F?" if self.flip is None else f"F{int(self.flip)}"
        return {name: name + flip for name in self.poolings}

    def summary(self) -> dict[str, Any]:
        """The numbers for JSON."""
        numbers: dict[str, Any] = {"rows": self.rows, "templates": self.templates, "pairs": self.pairs}
        numbers |= {"genuine": self.genuine, "flip": self.flip}
        for name, result in self.poolings.items():
            entry: dict[str, Any] = {"auc": result.auc, "eer": result.eer}
            for field in ("tar_at_far", "tar_at_most_far"):
                entry[field] = summarised(getattr(result, field), self.pairs - self.genuine)
            for field in ("closed_set", "two_galleries"):
                found: Identification | None = getattr(result, field)
                if found is not None:
                    entry[field] = {
                        "rank": found.rank,
                        "tpir_at_fpir": found.tpir_at_fpir,
                        "threshold": found.threshold,
                    }
            numbers[self.letters[name]] = entry
        return numbers


def evaluate_templates(
    embeddings: np.ndarray,
    meta: Mapping[str, np.ndarray],
    flip: bool | None = None,
    poolings: tuple[Pooling, ...] = COMMON,
    fars: tuple[float, ...] = FARS,
    ranks: tuple[int, ...] = IDENTIFICATION_RANKS,
) -> TemplateResult:
    """Evaluate row embeddings on an IJB protocol.

    Args:
        embeddings: (R,D) float, not normalised, row i belonging to protocol row i.
        meta: `faceness_scores`, `templates`, `medias` (R,), and the pairs `p1`, `p2` (template ids), `label` (P,);
            for 1:N also `g1_templates`, `g1_subjects`, the same for g2, and `probe_templates`, `probe_subjects`.
        flip: whether the rows hold the mirror image; only told on in the protocol's letters.

    Raises:
        DataError: a protocol array missing, of the wrong length, or naming a template that has no image; NaN rows.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.dtype.kind != "f":
        raise DataError(f"embeddings must be (rows, dimensions) floats, not {embeddings.dtype} {embeddings.shape}")
    columns = _columns(meta, len(embeddings))
    ids, pooled = pool_templates(
        embeddings, columns["templates"], columns["medias"], columns["faceness_scores"], poolings
    )
    same = columns["label"] == 1
    scorer = PairScorer(_locate(ids, columns["p1"], "p1"), _locate(ids, columns["p2"], "p2"))
    split = _Split.of(meta, ids)
    results = {}
    for pooling in poolings:
        templates = pooled.pop(pooling)
        roc = _curve(scorer, templates, same)
        results[pooling.letters] = PoolingResult(
            tar_at_far={far: roc.tar_nearest(far) for far in fars},
            tar_at_most_far={far: roc.tar_at_most(far) for far in fars},
            auc=roc.auc(),
            eer=roc.eer(),
            closed_set=closed_set(*split.of_templates(templates), ranks) if split else None,
            two_galleries=two_galleries(*split.of_templates(templates), ranks) if split else None,
            roc=roc.settled(),
        )
    return TemplateResult(len(embeddings), len(ids), len(same), int(same.sum()), flip, results)


def _curve(scorer: PairScorer, templates: np.ndarray, same: np.ndarray) -> Roc:
    """The curve of float64 scores of unit rows (T,D), without computing all of them for millions of pairs."""
    if scorer.pairs <= _EXACT_PAIRS:
        return Roc.of(scorer.scores(templates), same)

    def exact(numbers: np.ndarray) -> np.ndarray:
        return scorer.of_pairs(templates, numbers)

    rounded = scorer.scores(templates.astype(np.float32))
    genuine = np.flatnonzero(same)
    measured = np.append(genuine, np.arange(0, len(same), max(1, len(same) // _MEASURED)))
    error = _ROOM * float(np.abs(rounded[measured] - exact(measured)).max())
    return Roc(exact(genuine), RoundedScores(rounded, ~same, exact, error))


@dataclass(frozen=True)
class _Split:
    """The 1:N split, as template rows."""

    gallery_rows: tuple[np.ndarray, np.ndarray]
    gallery_subjects: tuple[np.ndarray, np.ndarray]
    probes: np.ndarray
    probe_subjects: np.ndarray

    @classmethod
    def of(cls, meta: Mapping[str, np.ndarray], ids: np.ndarray) -> "_Split | None":
        given = [name for name in GALLERIES if name in meta]
        if not given:
            return None
        columns = {name: _integers(meta, name) for name in GALLERIES}
        for part in ("g1", "g2", "probe"):
            if len(columns[f"{part}_templates"]) != len(columns[f"{part}_subjects"]) or not len(
                columns[f"{part}_subjects"]
            ):
                raise DataError(f"{part}_templates and {part}_subjects must be of one length and not empty")
        rows = {part: _locate(ids, columns[f"{part}_templates"], f"{part}_templates") for part in ("g1", "g2", "probe")}
        subjects = columns["g1_subjects"], columns["g2_subjects"]
        return cls((rows["g1"], rows["g2"]), subjects, rows["probe"], columns["probe_subjects"])

    def of_templates(self, templates: np.ndarray) -> tuple[tuple[Gallery, ...], np.ndarray, np.ndarray]:
        """Galleries, probe rows, probe people."""
        parts = zip(self.gallery_rows, self.gallery_subjects, strict=True)
        galleries = tuple(Gallery(templates[rows], subjects) for rows, subjects in parts)
        return galleries, templates[self.probes], self.probe_subjects


def _columns(meta: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    columns = {name: _integers(meta, name) for name in TEMPLATE_ARRAYS if name != "faceness_scores"}
    columns["faceness_scores"] = _column(meta, "faceness_scores").astype(np.float64)
    for names, length, what in (
        (("templates", "medias", "faceness_scores"), rows, "embeddings"),
        (("p1", "p2", "label"), len(columns["p1"]), "pairs"),
    ):
        for name in names:
            if len(columns[name]) != length:
                raise DataError(f"protocol array {name} has {len(columns[name])} entries for {length} {what}")
    odd = (columns["label"] != 0) & (columns["label"] != 1)
    if odd.any():
        raise DataError(f"label {columns['label'][np.argmax(odd)]} of pair {int(np.argmax(odd))} is neither 0 nor 1")
    return columns


def _column(meta: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in meta:
        raise DataError(f"the protocol has no {name!r}; it has {', '.join(sorted(meta)) or 'nothing'}")
    column = np.asarray(meta[name])
    if column.ndim != 1 or column.dtype.kind not in "biuf":
        raise DataError(f"protocol array {name} must be one row of numbers, not {column.dtype} {column.shape}")
    return column


def _integers(meta: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    column = _column(meta, name)
    if column.dtype.kind == "f":
        whole = column.astype(np.int64)
        if (whole != column).any():
            raise DataError(f"protocol array {name} holds {column[np.argmax(whole != column)]}, expected whole numbers")
        return whole
    return column


def _locate(ids: np.ndarray, wanted: np.ndarray, name: str) -> np.ndarray:
    """Rows (int32) of template ids among the sorted `ids`."""
    if not len(wanted):
        raise DataError(f"protocol array {name} is empty")
    low, high = int(ids[0]), int(ids[-1])
    inside = (wanted >= low) & (wanted <= high)
    if inside.all() and high - low < 1 << 26:
        # A table of all ids in between: 15.7 million look-ups in a tenth of a binary search's time.
        table = np.full(high - low + 1, -1, np.int32)
        table[ids - low] = np.arange(len(ids), dtype=np.int32)
        rows: np.ndarray = table[wanted - low]
    else:
        rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1).astype(np.int32)
        rows[ids[rows] != wanted] = -1
    if (rows < 0).any():
        lost = int(np.argmin(rows))
        raise DataError(f"{name} names template {wanted[lost]} at entry {lost}, which has no images")
    return rows
