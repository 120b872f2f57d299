"""Scores themselves, not their error rates: distributions, and whether short embeddings score badly."""

from pathlib import Path

import numpy as np

from common.figures import COLOURS, new_figure, save_picture
from evaluate.protocols import Roc, VerificationResult

# Bins of a histogram; fewer pairs than fill them make a comb.
_FEWEST_BINS, _MOST_BINS = 20, 80
# Pairs drawn as dots; more hide each other.
_MOST_DOTS = 3000


def plot_scores(roc: Roc, png: Path, title: str) -> list[Path]:
    """How genuine and impostor scores, which are cosines, are distributed, with the threshold of equal error rates."""
    figure, axes = new_figure(title)
    impostor = roc.impostor.sorted
    low, high = min(roc.genuine[0], impostor[0]), max(roc.genuine[-1], impostor[-1])
    bins = int(np.clip(2 * np.sqrt(min(len(roc.genuine), len(impostor))), _FEWEST_BINS, _MOST_BINS))
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    rows: list[tuple[str, float, float, int]] = []
    for kind, scores, colour in (("impostor", impostor, COLOURS[1]), ("genuine", roc.genuine, COLOURS[0])):
        counts, _ = np.histogram(scores, edges)
        axes.stairs(counts / len(scores), edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(counts / len(scores), edges, color=colour, linewidth=1.5, label=f"{kind} ({len(scores):,} pairs)")
        ends = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        rows += [(kind, start, stop, pairs) for start, stop, pairs in ends]
    threshold = roc.tar_at_most(roc.eer()).threshold
    if np.isfinite(threshold):
        axes.axvline(
            threshold, color="0.3", linestyle="--", linewidth=1.2, label=f"equal errors ({100 * roc.eer():.2f} %)"
        )
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.set_xlabel("cosine")
    axes.set_ylabel("share of pairs of the kind")
    # Below the axes: data may lie anywhere in them.
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return save_picture(figure, png, ("kind", "from", "to", "pairs"), rows)


def plot_quality(result: VerificationResult, png: Path, title: str) -> list[Path]:
    """Cosine of each pair against the shorter of its two embeddings; the line is the median in tenths of the pairs."""
    assert result.norms is not None
    figure, axes = new_figure(title)
    shorter = result.norms.reshape(-1, 2).min(axis=1)
    cosine = 1 - result.distances / 2
    rows: list[tuple[str, float, float]] = []
    for kind, pairs, colour in (
        ("different people", ~result.issame, COLOURS[1]),
        ("same person", result.issame, COLOURS[0]),
    ):
        x, y = shorter[pairs], cosine[pairs]
        shown = slice(None, None, max(1, len(x) // _MOST_DOTS))
        axes.plot(x[shown], y[shown], ".", color=colour, markersize=3, alpha=0.35)
        tenths = np.array_split(np.argsort(x, kind="stable"), min(10, len(x)))
        middle = [(np.median(x[part]), np.median(y[part])) for part in tenths]
        axes.plot(*zip(*middle, strict=True), color=colour, linewidth=2.2, label=kind)
        rows += [(kind, float(a), float(b)) for a, b in zip(x, y, strict=True)]
    axes.axhline(
        result.cosine_threshold, color="0.3", linestyle="--", linewidth=1.2, label="mean threshold of the folds"
    )
    axes.set_xlabel("length of the shorter embedding of the pair, before normalisation")
    axes.set_ylabel("cosine")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return save_picture(figure, png, ("kind", "shorter_norm", "cosine"), rows)
