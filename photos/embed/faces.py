"""The faces to embed: found in photos and aligned, or pictures that are aligned faces already."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from common.documents import read_regular
from common.embeddings import Embeddings, embed_with_norms
from common.errors import DataError
from common.models import FaceModel
from common.progress import progress
from common.text import printable
from photos.align import align
from photos.aligner import Aligner
from photos.detect import Found
from photos.find import find_photos
from photos.picture import LARGEST_FILE


class Pictures(Sequence[bytes]):
    """Encoded pictures read when they are asked for: a hundred thousand need no more memory than their paths."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, number: int) -> bytes: ...
    @overload
    def __getitem__(self, number: slice) -> "Pictures": ...
    def __getitem__(self, number: int | slice) -> "bytes | Pictures":
        if isinstance(number, slice):
            return Pictures(self.paths[number])
        return read_regular(self.paths[number], DataError, "was it moved?", LARGEST_FILE)


@dataclass(frozen=True)
class Faces:
    """N aligned faces. names: the photo's path below its folder, with ~2, ~3 for further faces of one. people: its
    first folder, None for none. boxes (N,4) and scores (N,) float32, NaN where no detector saw them. rejected: photos
    without a face."""

    origin: Path
    pictures: Pictures
    names: list[str]
    people: list[str | None]
    boxes: np.ndarray
    scores: np.ndarray
    rejected: int = 0

    def embedded(self, model: FaceModel, flip: bool, batch_size: int) -> Embeddings:
        """Embeddings by a model, not normalised. Raises DataError for faces of another size than the model's."""
        with progress(f"embedding {printable(self.origin.name)}", len(self.pictures)) as advance:
            where = f"{printable(self.origin)}: face"
            return embed_with_norms(_Strict(model), self.pictures, batch_size, flip, advance, name=where)


def aligned_by(aligner: Aligner, landmarks: dict[str, Found] | None, photos: Path, out: Path, workers: int) -> Faces:
    """The faces of a folder of photos, found and aligned into `out` (`photos.align`). Raises DataError for no face."""
    table = align(photos, out, aligner, landmarks, workers)
    rows = [row for row in table.to_pylist() if row["status"] == "aligned"]
    photos_seen = set(table["photo"].to_pylist())
    if not rows:
        raise DataError(f"{photos}: no face in {len(photos_seen):,} photos: {_first_reason(table.to_pylist())}")
    seen: dict[str, int] = {}
    names = []
    for row in rows:
        seen[row["photo"]] = seen.get(row["photo"], 0) + 1
        names.append(row["photo"] if seen[row["photo"]] == 1 else f"{row['photo']}~{seen[row['photo']]}")
    return Faces(
        photos,
        Pictures([out / row["aligned"] for row in rows]),
        names,
        [row["person"] for row in rows],
        np.array([row["box"] for row in rows], np.float32),
        np.array([row["score"] for row in rows], np.float32),
        len(photos_seen - set(seen)),
    )


def as_they_are(folder: Path) -> Faces:
    """The pictures of a folder as faces that are aligned already. Raises DataError where there are none."""
    found = find_photos(folder)
    if not found.photos:
        raise DataError(f"{folder}: no pictures in it: name a folder of aligned faces")
    return Faces(
        folder,
        Pictures([folder / photo.path for photo in found.photos]),
        [photo.path for photo in found.photos],
        [photo.person for photo in found.photos],
        np.full((len(found.photos), 4), np.nan, np.float32),
        np.full(len(found.photos), np.nan, np.float32),
        len(found.unusable),
    )


class _Strict:
    """A model that takes aligned faces of its own size, or of more width, which it crops; it would resize others."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model

    def embed(self, faces: np.ndarray) -> np.ndarray:
        height, width = faces.shape[1:3]
        if height != self._model.size[0] or width < self._model.size[1]:
            raise DataError(
                f"faces of {height}x{width}, the model takes {self._model.size[0]}x{self._model.size[1]}: "
                "align the photos (leave out --aligned)"
            )
        return self._model.embed(faces)


def _first_reason(rows: list[dict[str, Any]]) -> str:
    return next((f"{row['photo']}: {row['reason']}" for row in rows if row["reason"]), "there are none")
