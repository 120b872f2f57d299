"""Pictures of numbers in one style. Every PNG is written with a CSV of the numbers behind it, same name.

Matplotlib's object interface with the Agg canvas: no display is needed, and no global state is touched.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from common.files import replacing
from common.text import csv_cell, printable

# Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Characters of a name in a picture.
_LONGEST = 90


def new_figure(title: str) -> tuple[Figure, Axes]:
    """A figure with one set of axes, in this project's style."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(in_picture(title), loc="left", fontsize=12)
    axes.grid(True, which="major", color="0.85", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def in_picture(text: str) -> str:
    """Text with names from outside as matplotlib draws it: no formula between dollars, not too long, and not hidden
    from a legend for an underscore in front."""
    shown = printable(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]}…{shown[-_LONGEST // 2 :]}"
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")


def save_picture(figure: Figure, png: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Path]:
    """Write the picture, and the numbers behind it as CSV beside it."""
    save_png(figure, png, dpi=130)
    numbers = png.with_suffix(".csv")
    write_csv(numbers, columns, rows)
    return [png, numbers]


def save_png(figure: Figure, png: Path, dpi: int) -> None:
    """Write the picture alone. Atomic."""
    with replacing(png) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table with a line of column names; text in it is safe for terminals and spreadsheets. Atomic."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([csv_cell(column) for column in columns])
        writer.writerows([csv_cell(value) for value in row] for row in rows)
