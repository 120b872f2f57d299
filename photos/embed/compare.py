"""Two photos: one person, or two?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.embeddings import Cut, embed_faces
from common.errors import DataError
from common.models import FaceModel
from common.text import printable
from photos.aligner import AlignedFace, Aligner
from photos.picture import read_photo


def compare_photos(
    model: FaceModel, aligner: Aligner | None, photos: tuple[Path, Path], cut: Cut | None, flip: bool = True
) -> Iterator[str]:
    """Lines to print: what was found in each photo, the cosine, and the verdict at a threshold where one is known.

    aligner: None for pictures that are aligned faces already. Raises DataError naming a photo without a face.
    """
    faces = []
    for path in photos:
        rgb = read_photo(path)
        if aligner is None:
            if rgb.shape[:2] != model.size:
                raise DataError(
                    f"{path}: {rgb.shape[0]}x{rgb.shape[1]} pixels, an aligned face of this model has "
                    f"{model.size[0]}x{model.size[1]}: leave out --aligned"
                )
            faces.append(rgb)
            continue
        found = aligner.faces(rgb)
        chosen = next((face for face in found if face.rgb is not None), None)
        if chosen is None or chosen.rgb is None:
            reason = next((face.reason for face in found if face.reason), "no face found")
            raise DataError(f"{path}: {reason}: give another photo")
        faces.append(chosen.rgb)
        yield f"{printable(path.name)}: {_account(chosen, len(found))}"
    rows = embed_faces(model, np.stack(faces), flip=flip).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    if not lengths.all():
        raise DataError(f"{photos[int(np.argmin(lengths))]}: the model gives nothing (a row of zeros)")
    cosine = float(rows[0] @ rows[1] / lengths.prod())
    yield f"cosine {cosine:.4f}"
    if cut is None:
        yield (f"no threshold is known for {model.path.name}: evaluate calibrate finds one, --threshold gives one")
    else:
        yield f"{'one person' if cut.same(cosine) else 'two people'}, by {cut.origin}"


def _account(face: AlignedFace, faces: int) -> str:
    x0, y0, x1, y1 = face.box
    others = f", of {faces} the most central large one" if faces > 1 else ""
    return f"a face of {x1 - x0:.0f}x{y1 - y0:.0f} pixels, score {face.score:.3f}{others}"
