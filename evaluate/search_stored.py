"""Search among stored embeddings: who is nearest to each probe, as text and CSV."""

from collections.abc import Iterator
from pathlib import Path

from common.embeddings import Cut, Faces, choose_cut, nearest_faces
from common.errors import UserError
from common.models import FaceModel
from evaluate.stored import load_embeddings


def search_stored(
    gallery: Path,
    probes: Path,
    k: int,
    out: Path | None = None,
    given: float | None = None,
    model: FaceModel | None = None,
    far: float | None = None,
) -> Iterator[str]:
    """Lines to print while searching the `k` nearest gallery faces of every probe, exactly.

    `gallery` and `probes` are stored embeddings; `out` a CSV of all neighbours. Faces go by the names that are stored
    with them, others by the number of their row. A threshold is `given`, or what was calibrated for `model`, at `far`.
    """
    known, of_gallery = _stored(gallery)
    asked, of_probes = _stored(probes)
    cut = _cut(gallery, probes, of_gallery, of_probes, given, model, far)
    yield from nearest_faces(known, asked, k, cut, out)


def _cut(
    gallery: Path,
    probes: Path,
    of_gallery: bool,
    of_probes: bool,
    given: float | None,
    model: FaceModel | None,
    far: float | None,
) -> Cut | None:
    if model is None:
        if far is not None:
            raise UserError("--far is a threshold of a model: name it with --model")
        return None if given is None else Cut(given, f"cosine {given:g}, as given")
    if of_gallery != of_probes:
        raise UserError(
            f"{gallery} and {probes}: one with, one without mirror images: no threshold holds; embed one of them again"
        )
    return choose_cut(model, of_gallery, given, far)


def _stored(path: Path) -> tuple[Faces, bool]:
    embedded, flip = load_embeddings(path)
    names = list(embedded.names) if embedded.names else [f"row {row}" for row in range(len(embedded.rows))]
    return Faces(embedded.rows, names, str(path)), flip
