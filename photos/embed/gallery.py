"""People found: the faces of a folder among those of a gallery, by the search behind `evaluate search`."""

from collections.abc import Iterator
from pathlib import Path

from common import embeddings
from common.embeddings import Cut, nearest_faces
from common.models import FaceModel
from photos.embed.faces import Faces


def find_people(
    model: FaceModel,
    gallery: Faces,
    probes: Faces,
    k: int,
    cut: Cut | None,
    out: Path | None,
    flip: bool = True,
    batch_size: int = 64,
) -> Iterator[str]:
    """Lines to print while searching the `k` nearest gallery faces of every probe; `out`: a CSV of all.

    Raises DataError for faces that cannot be read or are of another size than the model's.
    """
    known, asked = (
        embeddings.Faces(faces.embedded(model, flip, batch_size).rows, faces.names, str(faces.origin))
        for faces in (gallery, probes)
    )
    yield from nearest_faces(known, asked, k, cut, out)
