"""Contact sheets: groups of faces side by side under headings, for people to judge."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from common.figures import in_picture, save_png
from common.text import printable

_CELL = (1.15, 1.65)  # inches, width and height with three lines of text
_GAP, _HEADING = 0.35, 0.6
_LONGEST = 18


class Cell(NamedTuple):
    """A face, uint8 RGB (H,W,3) or None for an empty place, and up to three lines under it."""

    picture: np.ndarray | None
    text: str


class Section(NamedTuple):
    """Groups under one heading; a group's faces touch, groups stand apart."""

    heading: str
    groups: Sequence[Sequence[Cell]]


def contact_sheet(sections: Sequence[Section], png: Path, columns: int) -> None:
    """Draw sections one below the other, `columns` groups a line; one without groups says that there are none."""
    width = max((len(group) for section in sections for group in section.groups), default=1)
    pitch = width * _CELL[0] + _GAP
    lines = [-(-len(section.groups) // columns) for section in sections]
    inches = (columns * pitch + _GAP, sum(_HEADING + count * _CELL[1] for count in lines))
    figure = Figure(figsize=inches)
    FigureCanvasAgg(figure)
    top = inches[1]
    for section, count in zip(sections, lines, strict=True):
        heading = in_picture(section.heading if section.groups else f"{section.heading}: none")
        figure.text(_GAP / inches[0], (top - _HEADING / 2) / inches[1], heading, fontsize=12, va="center")
        for number, group in enumerate(section.groups):
            line, column = divmod(number, columns)
            _draw(figure, group, _GAP + column * pitch, top - _HEADING - line * _CELL[1])
        top -= _HEADING + count * _CELL[1]
    save_png(figure, png, dpi=110)


def tail(path: str, longest: int = _LONGEST) -> str:
    """The end of a path without its suffix, as much as fits under a face: it tells photos of one person apart."""
    path = re.sub(r"\.\w+(?=~\d+$|$)", "", printable(path))
    return path if len(path) <= longest else f"…{path[1 - longest :]}"


def _draw(figure: Figure, group: Sequence[Cell], left: float, top: float) -> None:
    """A group whose upper left corner is so many inches from the left and from below."""
    inches, side = figure.get_size_inches(), _CELL[0] - 0.05
    for place, cell in enumerate(group):
        corner = ((left + place * _CELL[0]) / inches[0], (top - side) / inches[1])
        axes = figure.add_axes((*corner, side / inches[0], side / inches[1]))
        axes.axis("off")
        if cell.picture is not None:
            axes.imshow(cell.picture)
        else:
            axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor="0.8"))
        text = "\n".join(_short(in_picture(part)) for part in cell.text.split("\n"))
        axes.text(0, -0.04, text, transform=axes.transAxes, fontsize=7.5, va="top")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
