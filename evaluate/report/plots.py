"""Curves of error rates: ROC, DET, CMC. Every PNG is written with a CSV of the numbers behind it, same name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from common.figures import COLOURS, in_picture, new_figure, save_picture
from evaluate.protocols import Roc

_DASHES = ("-", "--", "-.", ":")
# Points of a curve drawn and written; a protocol of millions of pairs has more turning points than pixels.
_MOST_POINTS = 2000


def plot_roc(curves: Mapping[str, Roc], png: Path, title: str) -> list[Path]:
    """TAR against FAR on a logarithmic FAR axis, one line a model. Returns the PNG and the CSV.

    Left of 1 / (impostor pairs) the curve has no data; that edge is shaded.
    """
    figure, axes = new_figure(title)
    resolution = _far_axis(axes, curves)
    rows: list[tuple[str, float, float]] = []
    lowest = 1.0
    for number, (model, roc) in enumerate(curves.items()):
        far, tar = _thinned(*roc.turning_points())
        label = f"{in_picture(model)}   (AUC {100 * roc.auc():.2f} %, EER {100 * roc.eer():.2f} %)"
        # A staircase: drawn as steps, and with its first point moved from FAR 0 onto the visible axis.
        axes.plot(np.maximum(far, resolution / 2), tar, label=label, drawstyle="steps-post", **_style(number))
        lowest = min(lowest, roc.tar_at_most(resolution).tar)
        rows += [(model, float(x), float(y)) for x, y in zip(far, tar, strict=True)]
    floor = max(0.0, np.floor(20 * lowest) / 20 - 0.05)
    axes.set_ylim(floor, 1 + 0.02 * (1 - floor))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylabel("true accept rate (TAR)")
    axes.legend(loc="lower right", frameon=True)
    return save_picture(figure, png, ("model", "far", "tar"), rows)


def plot_det(curves: Mapping[str, Roc], png: Path, title: str) -> list[Path]:
    """Both error rates on logarithmic axes: false rejects against false accepts, the equal error rate marked."""
    figure, axes = new_figure(title)
    resolution = _far_axis(axes, curves)
    lowest = min(1 / len(roc.genuine) for roc in curves.values()) / 2
    rows: list[tuple[str, float, float]] = []
    for number, (model, roc) in enumerate(curves.items()):
        far, tar = _thinned(*roc.turning_points())
        style = _style(number)
        frr = np.maximum(1 - tar, lowest)
        axes.plot(np.maximum(far, resolution / 2), frr, label=in_picture(model), drawstyle="steps-post", **style)
        axes.plot(max(roc.eer(), resolution / 2), max(roc.eer(), lowest), "o", color=style["color"], markersize=6)
        rows += [(model, float(x), float(1 - y)) for x, y in zip(far, tar, strict=True)]
    both = [max(resolution / 2, lowest), 1]
    axes.plot(both, both, color="0.6", linewidth=1, linestyle=":", label="equal error rate")
    axes.set_yscale("log")
    axes.set_ylim(lowest, 1)
    axes.set_ylabel("false reject rate (1 - TAR)")
    axes.legend(loc="upper right", frameon=True)
    return save_picture(figure, png, ("model", "far", "frr"), rows)


def plot_cmc(ranks: Mapping[str, np.ndarray], png: Path, title: str, most: int = 50) -> list[Path]:
    """Cumulative match characteristic: share of probes whose mate is among the k best, up to k = `most`.

    `ranks` holds each probe's mate rank, 1 the best, 0 for beyond what was searched.
    """
    figure, axes = new_figure(title)
    places = np.arange(1, most + 1)
    rows: list[tuple[str, int, float]] = []
    lowest = 1.0
    for number, (model, mate_ranks) in enumerate(ranks.items()):
        rate = np.array([np.mean((mate_ranks > 0) & (mate_ranks <= k)) for k in places])
        axes.plot(places, rate, label=f"{in_picture(model)}   (rank-1 {100 * rate[0]:.2f} %)", **_style(number))
        lowest = min(lowest, rate[0])
        rows += [(model, int(k), float(value)) for k, value in zip(places, rate, strict=True)]
    axes.set_xscale("log")
    axes.set_xlim(1, most)
    axes.set_xticks([1, 2, 5, 10, 20, most], labels=["1", "2", "5", "10", "20", str(most)])
    axes.minorticks_off()
    floor = max(0.0, np.floor(20 * lowest) / 20 - 0.05)
    axes.set_ylim(floor, 1 + 0.02 * (1 - floor))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("rank k")
    axes.set_ylabel("probes with their mate among the k best")
    axes.legend(loc="lower right", frameon=True)
    return save_picture(figure, png, ("model", "rank", "rate"), rows)


def _far_axis(axes: Axes, curves: Mapping[str, Roc]) -> float:
    """A logarithmic FAR axis down to half of one impostor pair, which is returned as a FAR."""
    resolution = min(1 / len(roc.impostor) for roc in curves.values())
    axes.axvspan(resolution / 2, resolution, color="0.92", zorder=0, label="less than one impostor pair")
    axes.set_xscale("log")
    axes.set_xlim(resolution / 2, 1)
    axes.set_xlabel("false accept rate (FAR), share of impostor pairs accepted")
    return resolution


def _thinned(far: np.ndarray, tar: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `_MOST_POINTS` of a curve's points, ends included."""
    chosen = np.unique(np.linspace(0, len(far) - 1, min(len(far), _MOST_POINTS)).round().astype(int))
    return far[chosen], tar[chosen]


def _style(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _DASHES[number // len(COLOURS) % len(_DASHES)],
        "linewidth": 1.8,
    }
