"""Contact sheets: groups of faces side by side, for people to judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.faces import FaceSource
from common.figures import save_png

_CELL = (1.15, 1.65)  # inches, width and height with three lines of text
_GAP = 0.35
_LONGEST = 18


class Cell(NamedTuple):
    """A face as stored, and up to three lines under it. Sample -1 draws no face."""

    sample: int
    text: str


def contact_sheet(source: FaceSource, groups: Sequence[Sequence[Cell]], png: Path, title: str, columns: int) -> None:
    """Draw groups of faces, `columns` groups a line; a group's faces touch, groups stand apart."""
    width = max((len(group) for group in groups), default=1)
    lines = -(-max(len(groups), 1) // columns)
    pitch = width * _CELL[0] + _GAP
    inches = (columns * pitch + _GAP, lines * _CELL[1] + 0.6)
    figure = Figure(figsize=inches)
    FigureCanvasAgg(figure)
    figure.text(_GAP / inches[0], 1 - 0.3 / inches[1], title if groups else f"{title}: none", fontsize=12, va="center")
    for number, group in enumerate(groups):
        line, column = divmod(number, columns)
        top = inches[1] - 0.6 - line * _CELL[1]
        for place, cell in enumerate(group):
            left = _GAP + column * pitch + place * _CELL[0]
            corner = (left / inches[0], (top - _CELL[0] + 0.05) / inches[1])
            axes = figure.add_axes((*corner, (_CELL[0] - 0.05) / inches[0], (_CELL[0] - 0.05) / inches[1]))
            axes.axis("off")
            if cell.sample >= 0:
                axes.imshow(source.rgb(cell.sample))
            text = "\n".join(_short(part) for part in cell.text.split("\n"))
            axes.text(0, -0.04, text, transform=axes.transAxes, fontsize=7.5, va="top")
    save_png(figure, png, dpi=110)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
