"""Search among stored embeddings: a gallery now or saved earlier, probes, neighbours as text and CSV."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.vectors import unit_rows
from evaluate.gallery import ABOUT, GalleryIndex
from evaluate.report import write_rows
from evaluate.stored import load_embeddings

# Probes whose neighbours are said; all of them go into the CSV.
_SAID = 10


def search_stored(
    gallery: Path, probes: Path | None, k: int, kind: str, save: Path | None = None, out: Path | None = None
) -> Iterator[str]:
    """Lines to print while searching.

    `gallery` is stored embeddings, indexed here, or the folder of a saved index; `probes` stored embeddings; `out` a
    CSV of all neighbours. Rows are scaled to unit length, so scores are cosines.
    """
    if (gallery / ABOUT).exists():
        if kind != "exact" or save is not None:
            raise UserError(f"{gallery} is a saved gallery: --approximate and --save only apply when one is built")
        index = GalleryIndex.open(gallery)
    else:
        rows = unit_rows(load_embeddings(gallery)[0].rows, np.float32)
        index = GalleryIndex.build(rows, [str(row) for row in range(len(rows))], kind)
    yield f"gallery: {len(index.names):,} faces, {index.kind}, recall@10 {index.recall:.4f}"
    if save is not None:
        index.save(save)
        yield f"saved in {save}"
    if probes is None:
        return
    scores, found = index.search(unit_rows(load_embeddings(probes)[0].rows, np.float32), k)
    for probe in range(min(len(scores), _SAID)):
        pairs = zip(found[probe], scores[probe], strict=True)
        yield f"probe {probe}: " + ", ".join(f"{index.names[row]} {score:.3f}" for row, score in pairs if row >= 0)
    if len(scores) > _SAID:
        yield f"... and {len(scores) - _SAID:,} probes more"
    if out is not None:
        lines = [
            {"probe": probe, "rank": rank + 1, "gallery": index.names[row], "score": float(scores[probe, rank])}
            for probe, neighbours in enumerate(found)
            for rank, row in enumerate(neighbours)
            if row >= 0  # a place an approximate index could not fill
        ]
        write_rows(lines, out)
        yield f"all of them in {out}"
