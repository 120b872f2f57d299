"""Errors people can see: the worst false accepts and false rejects of a verification set on one sheet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from common.config import MeasureConfig
from common.contact_sheets import Cell, Section, contact_sheet
from common.embeddings import Embedder
from common.errors import DataError
from common.faces import decode_rgb
from common.text import file_name
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


def error_sheet(
    pictures: Sequence[bytes], result: VerificationResult, png: Path, title: str, count: int = 12
) -> tuple[int, int]:
    """Draw the worst pairs; how many false accepts and false rejects are on the sheet.

    `pictures` are the set's 2P encoded pictures. Each pair carries its number in the file and its cosine.
    """
    accepts, rejects = worst_pairs(result, count)

    def pair_cells(pair: int) -> list[Cell]:
        faces = [decode_rgb(pictures[2 * pair + side], f"picture {2 * pair + side}") for side in (0, 1)]
        return [Cell(faces[0], f"pair {pair}"), Cell(faces[1], f"cosine {1 - result.distances[pair] / 2:.3f}")]

    headings = (
        f"{title}, threshold {result.cosine_threshold:.3f}. Different people taken for one, nearest first",
        "One person taken for two, farthest first",
    )
    sections = [
        Section(heading, [pair_cells(int(pair)) for pair in pairs])
        for heading, pairs in zip(headings, (accepts, rejects), strict=True)
    ]
    contact_sheet(sections, png, 4)
    return len(accepts), len(rejects)


def draw_errors(
    models: Mapping[str, Embedder | StoredEmbeddings],
    sets: Mapping[str, Path],
    out: Path,
    count: int = 12,
    options: MeasureConfig = DEFAULT,
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
            embedded, flipped = embeddings_of(model, set_name, path, faces, f"{name} on {set_name}", options)
            result = faces.measure(embedded, flipped)
            if not isinstance(result, VerificationResult):
                raise DataError(f"{path}: only pairs of single pictures (.bin) can be drawn")
            png = out / f"errors-{file_name(set_name)}-{file_name(name)}.png"
            accepts, rejects = error_sheet(faces.pictures, result, png, f"{set_name}: errors of {name}", count)
            yield f"{png}: the worst {accepts} false accepts and {rejects} false rejects"
