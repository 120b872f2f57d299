"""Search among stored embeddings: who is nearest to each probe, as text and CSV."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.vectors import unit_rows
from evaluate.embed import Embeddings
from evaluate.protocols import search
from evaluate.report import write_rows
from evaluate.stored import load_embeddings

# Probes whose neighbours are said; all of them go into the CSV.
_SAID = 10


def search_stored(gallery: Path, probes: Path, k: int, out: Path | None = None) -> Iterator[str]:
    """Lines to print while searching the `k` nearest gallery faces of every probe, exactly.

    `gallery` and `probes` are stored embeddings; `out` a CSV of all neighbours. Rows are scaled to unit length, so
    scores are cosines. Faces go by the names that are stored with them, others by the number of their row.
    """
    known, asked = load_embeddings(gallery)[0], load_embeddings(probes)[0]
    for path, embedded in ((gallery, known), (probes, asked)):
        if not len(embedded.rows):
            raise DataError(f"{path}: holds no embeddings")
    if known.rows.shape[1] != asked.rows.shape[1]:
        raise DataError(
            f"{probes}: {asked.rows.shape[1]} dimensions, {gallery} has {known.rows.shape[1]}: they are of two models"
        )
    yield f"gallery: {len(known.rows):,} faces"
    scores, found = search(
        unit_rows(known.rows, np.float32), unit_rows(asked.rows, np.float32), min(k, len(known.rows))
    )
    of_gallery, of_probe = _names(known), _names(asked)
    for name, neighbours, cosines in list(zip(of_probe, found, scores, strict=True))[:_SAID]:
        pairs = zip(neighbours, cosines, strict=True)
        yield f"{name}: " + ", ".join(f"{of_gallery[row]} {cosine:.3f}" for row, cosine in pairs)
    if len(scores) > _SAID:
        yield f"... and {len(scores) - _SAID:,} probes more"
    if out is not None:
        lines = [
            {"probe": of_probe[probe], "rank": rank + 1, "gallery": of_gallery[row], "cosine": float(cosine)}
            for probe, neighbours in enumerate(found)
            for rank, (row, cosine) in enumerate(zip(neighbours, scores[probe], strict=True))
        ]
        write_rows(lines, out)
        yield f"all of them in {out}"


def _names(embedded: Embeddings) -> list[str]:
    return list(embedded.names) if embedded.names else [f"row {row}" for row in range(len(embedded.rows))]
