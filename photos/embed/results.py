"""Embeddings of a folder of faces on disk, for programs and for people.

embeddings.npz       embeddings float32 (N,D), unit length; paths (N,)
embeddings.parquet   path, person, box, score, norm
cosines.csv          the matrix, of at most 2,000 faces; cosines.png: of the first 200
pairs.png, .csv      the most and the least similar pairs
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.embeddings import Embeddings
from common.figures import write_csv
from common.files import replacing
from common.models import FaceModel
from common.vectors import unit_rows
from photos.embed.faces import Faces
from photos.embed.likeness import extreme_pairs, rank_correlation
from photos.embed.pictures import HEAT_MAP, draw_matrix, draw_pairs

LARGEST_MATRIX = 2000
_PAIRS = 12


def embed_photos(model: FaceModel, faces: Faces, out: Path, flip: bool = True, batch_size: int = 64) -> Iterator[str]:
    """Embed faces and write all of the above into `out`; lines to print.

    Raises DataError for faces that cannot be read or are of another size than the model's.
    """
    embedded = faces.embedded(model, flip, batch_size)
    unit = unit_rows(embedded.rows, np.float32)
    write_embeddings(out, faces, embedded, unit)
    yield (
        f"{len(faces.names):,} faces, {unit.shape[1]} dimensions, by {model.path.name}"
        + (f"; {faces.rejected:,} photos without" if faces.rejected else "")
    )
    yield _of_norms(faces, embedded.norms)
    if len(unit) > LARGEST_MATRIX:
        yield f"more than {LARGEST_MATRIX:,} faces: no matrix of cosines is written"
    else:
        cosines = unit @ unit.T
        lines = zip(faces.names, cosines.tolist(), strict=True)
        rows = ([name, *(round(cosine, 6) for cosine in line)] for name, line in lines)
        write_csv(out / "cosines.csv", ["path", *faces.names], rows)
    drawn = unit[:HEAT_MAP]
    draw_matrix(drawn @ drawn.T, faces.names[:HEAT_MAP], len(unit), out / "cosines.png")
    if len(unit) > 1:
        pairs = extreme_pairs(unit, faces.people, _PAIRS)
        draw_pairs(pairs, faces, out / "pairs.png")
        for kind in ("most", "least"):
            (first, second), cosine = pairs[kind].pairs[0], pairs[kind].cosines[0]
            yield f"{kind} similar: {faces.names[first]} and {faces.names[second]}, cosine {cosine:.3f}"
    yield f"embeddings, cosines and pictures in {out}"


def write_embeddings(out: Path, faces: Faces, embedded: Embeddings, unit: np.ndarray) -> None:
    """The embeddings with their paths, and what is known of each face."""
    with replacing(out / "embeddings.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, embeddings=unit, paths=np.array(faces.names, str))
    seen = np.isfinite(faces.boxes).all(1)
    boxes = [box.tolist() if known else None for box, known in zip(faces.boxes, seen, strict=True)]
    table = pa.table(
        {
            "path": pa.array(faces.names, pa.string()),
            "person": pa.array(faces.people, pa.string()),
            "box": pa.array(boxes, pa.list_(pa.float32(), 4)),
            "score": pa.array(faces.scores, pa.float32(), mask=~np.isfinite(faces.scores)),
            "norm": pa.array(embedded.norms, pa.float32()),
        }
    )
    with replacing(out / "embeddings.parquet") as temporary:
        pq.write_table(table, temporary)


def _of_norms(faces: Faces, norms: np.ndarray) -> str:
    """A long embedding is often taken for a good picture; whether it is, these say."""
    sizes = np.sqrt(np.prod(faces.boxes[:, 2:] - faces.boxes[:, :2], axis=1))
    told = [
        f"{'n/a' if rho is None else f'{rho:+.2f}'} with {what}"
        for what, rho in (
            ("the detector's score", rank_correlation(norms, faces.scores)),
            ("the size of the face", rank_correlation(norms, sizes)),
        )
    ]
    return f"norm {norms.min():.2f} to {norms.max():.2f}; its rank correlation: {', '.join(told)}"
