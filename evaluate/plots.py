"""Pictures of error rates. Every PNG is written with a CSV of the numbers behind it, same name.

Matplotlib's object interface with the Agg canvas: no display is needed, and no global state is touched.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from evaluate.metrics import Roc

# Okabe and Ito's palette: told apart with any colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")


def plot_roc(curves: Mapping[str, Roc], png: Path, title: str) -> list[Path]:
    """TAR against FAR on a logarithmic FAR axis, one line a model. Returns the PNG and the CSV.

    Left of 1 / (impostor pairs) the curve has no data; that edge is shaded.
    """
    figure, axes = _figure(title)
    resolution = min(1 / len(roc.impostor) for roc in curves.values())
    rows: list[tuple[str, float, float]] = []
    lowest = 1.0
    for number, (model, roc) in enumerate(curves.items()):
        far, tar = roc.turning_points()
        label = f"{model}   (AUC {100 * roc.auc():.2f} %, EER {100 * roc.eer():.2f} %)"
        # A staircase: drawn as steps, and with its first point moved from FAR 0 onto the visible axis.
        axes.plot(np.maximum(far, resolution / 2), tar, label=label, drawstyle="steps-post", **_style(number))
        lowest = min(lowest, roc.tar_at_most(resolution).tar)
        rows += [(model, float(x), float(y)) for x, y in zip(far, tar, strict=True)]
    axes.axvspan(resolution / 2, resolution, color="0.92", zorder=0, label="less than one impostor pair")
    axes.set_xscale("log")
    axes.set_xlim(resolution / 2, 1)
    floor = max(0.0, np.floor(20 * lowest) / 20 - 0.05)
    axes.set_ylim(floor, 1 + 0.02 * (1 - floor))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("false accept rate (FAR), share of impostor pairs accepted")
    axes.set_ylabel("true accept rate (TAR)")
    axes.legend(loc="lower right", frameon=True)
    return _save(figure, png, ("model", "far", "tar"), rows)


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=12)
    axes.grid(True, which="major", color="0.85", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(number: int) -> dict:
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _DASHES[number // len(_COLOURS) % len(_DASHES)],
        "linewidth": 1.8,
    }


def _save(figure: Figure, png: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> list[Path]:
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=130)
    numbers = png.with_suffix(".csv")
    with numbers.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    return [png, numbers]
