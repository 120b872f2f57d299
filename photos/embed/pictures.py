"""Pictures of cosines: the matrix as a heat map, and the faces of the most and the least similar pairs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.contact_sheets import Cell, Section, contact_sheet, tail
from common.faces import decode_rgb
from common.figures import in_picture, save_png, write_csv
from photos.embed.faces import Faces
from photos.embed.likeness import Kind, Pairs

HEAT_MAP = 200
_NAMED = 80  # faces whose names still fit
_SHORT = 28
_TOUCHING = 15  # letters under one of two faces side by side
_HEADINGS: dict[Kind, str] = {
    "most": "Most similar",
    "least": "Least similar",
    "most, of different people": "Most similar of different people",
    "least, of one person": "Least similar of one person",
}


def draw_matrix(cosines: np.ndarray, names: list[str], faces: int, png: Path) -> None:
    """The cosines (N,N) of at most HEAT_MAP faces, the first of `faces`."""
    side = min(3.5 + 0.16 * len(names), 14) if len(names) <= _NAMED else 10
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shown = axes.imshow(cosines, cmap="viridis", vmin=min(0.0, float(cosines.min())), vmax=1, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="cosine", shrink=0.8)
    axes.set_title(
        f"Cosines of {len(names)} faces" + (f", the first of {faces:,}" if faces > len(names) else ""), loc="left"
    )
    if len(names) <= _NAMED:
        short = [in_picture(name if len(name) <= _SHORT else f"…{name[1 - _SHORT :]}") for name in names]
        axes.set_yticks(range(len(names)), short, fontsize=6)
        axes.set_xticks(range(len(names)), short, fontsize=6, rotation=90)
    else:
        axes.set_xlabel("face, in the order of paths")
    save_png(figure, png, dpi=110)


def draw_pairs(pairs: Mapping[Kind, Pairs], faces: Faces, png: Path) -> None:
    """A contact sheet of pairs, and beside it the same as CSV."""

    def cell(face: int, text: str) -> Cell:
        return Cell(decode_rgb(faces.pictures[face], faces.names[face]), text)

    def group(pair: np.ndarray, cosine: float) -> list[Cell]:
        first, second = map(int, pair)
        return [
            cell(first, f"{tail(faces.names[first], _TOUCHING)}\ncosine {cosine:.3f}"),
            cell(second, tail(faces.names[second], _TOUCHING)),
        ]

    sections = [
        Section(_HEADINGS[kind], [group(*pair) for pair in zip(found.pairs, found.cosines.tolist(), strict=True)])
        for kind, found in pairs.items()
    ]
    contact_sheet(sections, png, 4)
    rows = (
        (kind, faces.names[first], faces.names[second], round(float(cosine), 6))
        for kind, found in pairs.items()
        for (first, second), cosine in zip(found.pairs.tolist(), found.cosines, strict=True)
    )
    write_csv(png.with_suffix(".csv"), ["similar", "first", "second", "cosine"], rows)
