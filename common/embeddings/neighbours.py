"""Who is nearest to each probe, by name: as lines to read and as a CSV."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.embeddings.nearest import search
from common.embeddings.thresholds import Cut
from common.errors import DataError
from common.figures import write_csv
from common.text import WIDTH, printable
from common.vectors import unit_rows

# Probes whose neighbours are said; all of them go into the CSV.
_SAID = 10


class Faces(NamedTuple):
    """Embeddings (N,D) float32 of any length per row, N names, and what messages call where they are from."""

    rows: np.ndarray
    names: list[str]
    origin: str


def nearest_faces(gallery: Faces, probes: Faces, k: int, cut: Cut | None, out: Path | None) -> Iterator[str]:
    """Lines to print while searching the `k` nearest gallery faces of every probe, exactly; `out`: a CSV of all.

    Rows are scaled to unit length, so scores are cosines. With a threshold the neighbours above it are said to be the
    probe's person.

    Raises DataError for no faces, and for embeddings of two widths.
    """
    for faces in (gallery, probes):
        if not len(faces.rows):
            raise DataError(f"{faces.origin}: holds no embeddings")
    if gallery.rows.shape[1] != probes.rows.shape[1]:
        raise DataError(
            f"{probes.origin}: {probes.rows.shape[1]} dimensions, {gallery.origin} has {gallery.rows.shape[1]}: they "
            "are of two models"
        )
    yield f"gallery: {len(gallery.rows):,} faces"
    if cut is not None:
        yield f"one person above {cut.origin}"
    scores, found = search(
        unit_rows(gallery.rows, np.float32), unit_rows(probes.rows, np.float32), min(k, len(gallery.rows))
    )
    for name, neighbours, cosines in list(zip(probes.names, found, scores, strict=True))[:_SAID]:
        pairs = zip(neighbours, cosines, strict=True)
        known = [
            f"{gallery.names[row]} {cosine:.3f}{' (same person)' if cut and cut.same(cosine) else ''}"
            for row, cosine in pairs
        ]
        yield _one_line_or_a_line_each(name, known)
    if len(scores) > _SAID:
        yield f"... and {len(scores) - _SAID:,} probes more"
    if cut is not None:
        recognised = sum(cut.same(best) for best in scores[:, 0].tolist())
        yield f"{recognised:,} of {len(scores):,} probes have somebody above the threshold"
    if out is not None:
        write_csv(
            out,
            ["probe", "rank", "gallery", "cosine", *(["same"] if cut else [])],
            _rows(gallery, probes, found, scores, cut),
        )
        yield f"all of them in {out}"


def _one_line_or_a_line_each(probe: str, neighbours: list[str]) -> str:
    """Names are whole and stand where they can be copied from, however long they are."""
    line = f"{probe}: {', '.join(neighbours)}"
    return line if len(printable(line)) <= WIDTH else "\n  ".join([f"{probe}:", *neighbours])


def _rows(
    gallery: Faces, probes: Faces, found: np.ndarray, scores: np.ndarray, cut: Cut | None
) -> Iterator[list[object]]:
    for probe, neighbours in enumerate(found):
        for place, (row, cosine) in enumerate(zip(neighbours, scores[probe].tolist(), strict=True)):
            judged = ["yes" if cut.same(cosine) else "no"] if cut else []
            yield [probes.names[probe], place + 1, gallery.names[row], cosine, *judged]
