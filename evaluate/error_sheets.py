"""Errors people can see: the worst false accepts and false rejects of a verification set on one sheet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.config import MeasureConfig
from common.errors import DataError
from common.faces import decode_rgb
from common.figures import in_picture
from common.text import file_name
from evaluate.embed import Embedder
from evaluate.protocols import VerificationResult
from evaluate.run import embeddings_of
from evaluate.sets import DEFAULT, open_set
from evaluate.stored import StoredEmbeddings


def worst_pairs(result: VerificationResult, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair numbers of the worst false accepts (different people, nearest first) and false rejects (same person,
    farthest first), at most `count` each, by the mean threshold of the folds."""
    order = np.argsort(result.distances, kind="stable")
    accepts = order[~result.issame[order] & (result.distances[order] < result.threshold)]
    rejects = order[::-1][(result.issame & (result.distances >= result.threshold))[order[::-1]]]
    return accepts[:count], rejects[:count]


def contact_sheet(
    pictures: Sequence[bytes], result: VerificationResult, png: Path, title: str, count: int = 12
) -> tuple[int, int]:
    """Draw the worst pairs; how many false accepts and false rejects are on the sheet.

    `pictures` are the set's 2P encoded pictures. Each pair carries its number in the file and its cosine.
    """
    accepts, rejects = worst_pairs(result, count)
    columns = 4
    rows = [-(-len(pairs) // columns) for pairs in (accepts, rejects)]
    inches = [0.35 + 1.55 * height for height in rows]  # a heading, then pairs with their number above
    figure = Figure(figsize=(2.6 * columns, 0.4 + sum(inches)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{in_picture(title)}   (cosines; threshold {result.cosine_threshold:.3f})", fontsize=12)
    headings = (
        "False accepts: different people taken for one, nearest first",
        "False rejects: one person taken for two, farthest first",
    )
    parts = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=inches), object))
    for part, pairs, height, heading in zip(parts, (accepts, rejects), rows, headings, strict=True):
        part.suptitle(heading if len(pairs) else f"{heading}: none", fontsize=10, x=0.01, ha="left")
        places = part.subplots(height, columns, squeeze=False).ravel() if height else []
        for place in places:
            place.axis("off")
        for place, pair in zip(places, pairs, strict=False):
            faces = [decode_rgb(pictures[2 * pair + side], f"picture {2 * pair + side}") for side in (0, 1)]
            height_px = min(face.shape[0] for face in faces)
            gap = np.full((height_px, 4, 3), 255, np.uint8)
            place.imshow(np.hstack([faces[0][:height_px], gap, faces[1][:height_px]]))
            place.set_title(f"pair {pair}:  {1 - result.distances[pair] / 2:.3f}", fontsize=8, pad=2)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=110)
    return len(accepts), len(rejects)


def draw_errors(
    models: Mapping[str, Embedder | StoredEmbeddings],
    sets: Mapping[str, Path],
    out: Path,
    count: int = 12,
    how: MeasureConfig = DEFAULT,
) -> Iterator[str]:
    """One sheet a model and `.bin` set, out/errors-SET-MODEL.png; a line about each as it is drawn.

    Raises DataError for a set that holds no pairs of pictures, such as an IJB folder.
    """
    for set_name, path in sets.items():
        if not path.exists():
            yield f"skipped {set_name}: not found: {path}"
            continue
        faces = open_set(path)
        for name, model in models.items():
            embedded, flipped = embeddings_of(model, set_name, path, faces, f"{name} on {set_name}", how)
            result = faces.measure(embedded, flipped)
            if not isinstance(result, VerificationResult):
                raise DataError(f"{path}: only pairs of single pictures (.bin) can be drawn")
            png = out / f"errors-{file_name(set_name)}-{file_name(name)}.png"
            accepts, rejects = contact_sheet(faces.pictures, result, png, f"{set_name}: errors of {name}", count)
            yield f"{png}: the worst {accepts} false accepts and {rejects} false rejects"
