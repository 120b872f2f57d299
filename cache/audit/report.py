"""An audit as files people open: two lists, two distributions, two sheets of faces, and a summary."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from cache.audit.audit import Audit, audit, most_typical
from cache.audit.sheets import Cell, contact_sheet
from cache.format import describe_faces, refuse_difference
from cache.reader import TeacherCache
from common.faces import FaceSource
from common.figures import COLOURS, new_figure, save_picture, write_csv
from common.files import replacing

_BINS = 100


def audit_cache(
    cache: TeacherCache,
    source: FaceSource,
    out: Path,
    noise_below: float | None = None,
    duplicate_above: float | None = None,
    shown: int = 24,
) -> str:
    """Audit a cache made of these faces; writes all files into `out` and returns the summary.

    shown: faces and pairs on a sheet. Raises CacheError when the cache is one of other faces, UserError as `audit`.
    """
    refuse_difference(cache.path, cache.manifest, {"faces": describe_faces(source)}, ("faces",))
    found = audit(cache, noise_below, duplicate_above)
    out.mkdir(parents=True, exist_ok=True)
    _write_lists(found, cache, source, out)
    _plot_cosines(found, cache, out / "cosines.png")
    _plot_norms(found, out / "norms.png")
    noise_sheet(found, cache, source, out / "label-noise.png", shown)
    duplicate_sheet(found, cache, source, out / "duplicates.png", shown)
    text = summary(found, cache)
    with replacing(out / "summary.txt") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return text


def summary(found: Audit, cache: TeacherCache) -> str:
    """Several lines: both yardsticks, both thresholds, and how many faces and pairs they leave to look at."""
    same = found.same[np.isfinite(found.same)]
    people = int((cache.counts > 1).sum())
    lines = {
        "same person": f"cosine of a face with the mean of the same person's other faces: {_spread(same)}; "
        f"{len(same):,} faces of {people:,} people, the other {len(found.same) - len(same):,} are alone or no pictures",
        "another person": f"cosine of a face with some other person's centre: {_spread(found.other)}",
        "label noise": f"{len(found.noise):,} faces below {found.noise_below:.3f} to their own person"
        f"{_share(found.other >= found.noise_below, 'of strangers reach that')}: label-noise.csv, label-noise.png",
        "duplicates": f"{len(found.pairs):,} pairs of people with centres at {found.duplicate_above:.3f} or above"
        f"{_share(same >= found.duplicate_above, 'of faces are as close to their own person')}: "
        "duplicates.csv, duplicates.png",
        "confidence": f"as stored: {_spread(found.confidence)}",
        "norm": f"of the teacher's embeddings before normalisation: {_spread(found.norm, 1)}",
    }
    return "\n".join([f"{cache.path}: candidates for human eyes", *(f"  {k:<15} {v}" for k, v in lines.items())])


def _share(true: np.ndarray, what: str) -> str:
    return f" ({100 * true.mean():.2g} % {what})" if len(true) else ""


def _spread(values: np.ndarray, digits: int = 3) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "none"
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"mean {values.mean():.{digits}f}, median {middle:.{digits}f}, 90 % in {low:.{digits}f}..{high:.{digits}f}"


def _write_lists(found: Audit, cache: TeacherCache, source: FaceSource, out: Path) -> None:
    people, labels, counts = source.people, cache.labels, cache.counts

    def noise() -> Iterator[tuple[object, ...]]:
        for sample, other, cosine in zip(found.noise, found.nearest, found.nearest_cosine, strict=True):
            own = labels[sample]
            yield (
                sample, source.name(sample), own, people[own], counts[own], f"{found.same[sample]:.4f}",
                f"{found.confidence[sample]:.4f}", f"{found.norm[sample]:.3f}",
                *((other, people[other], f"{cosine:.4f}") if other >= 0 else ("", "", "")),
            )  # fmt: skip

    columns = ("sample", "record", "label", "person", "faces", "same_cosine", "confidence", "norm")
    write_csv(out / "label-noise.csv", (*columns, "nearest_label", "nearest_person", "nearest_cosine"), noise())
    pairs = (
        (f"{cosine:.4f}", a, people[a], counts[a], b, people[b], counts[b])
        for (a, b), cosine in zip(found.pairs.tolist(), found.pair_cosine, strict=True)
    )
    sides = ("label_a", "person_a", "faces_a", "label_b", "person_b", "faces_b")
    write_csv(out / "duplicates.csv", ("cosine", *sides), pairs)


def _plot_cosines(found: Audit, cache: TeacherCache, png: Path) -> None:
    figure, axes = new_figure(f"{cache.path.name}: how well the teacher knows these people")
    same = found.same[np.isfinite(found.same)]
    stored = "own centre, the stored confidence"
    kinds = [("another person's centre", found.other), ("same person's other faces", same), (stored, found.confidence)]
    kinds = [(kind, values[np.isfinite(values)]) for kind, values in kinds]
    edges = np.linspace(min(values.min() for _, values in kinds if len(values)), 1, _BINS + 1)
    rows: list[tuple[str, float, float, int]] = []
    for (kind, values), colour in zip(kinds, (COLOURS[1], COLOURS[0], COLOURS[2]), strict=True):
        if not len(values):
            continue
        faces, _ = np.histogram(np.minimum(values, 1), edges)  # rounding may leave a unit cosine above 1
        if kind != stored:
            axes.stairs(faces / len(values), edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(faces / len(values), edges, color=colour, linewidth=1.5, label=f"{kind}: {len(values):,} faces")
        rows += [(kind, *ends) for ends in zip(edges[:-1].tolist(), edges[1:].tolist(), faces.tolist(), strict=True)]
    for cosine, text, style in (
        (found.noise_below, f"label noise below {found.noise_below:.3f}", "--"),
        (found.duplicate_above, f"duplicates from {found.duplicate_above:.3f}", ":"),
    ):
        axes.axvline(cosine, color="0.3", linestyle=style, linewidth=1.2, label=text)
    # The stored confidence of people with one face is 1: that spike would flatten all the rest. Room for the legend.
    tops = [np.histogram(values, edges)[0].max() / len(values) for _, values in kinds[:2] if len(values)]
    axes.set_ylim(0, 1.5 * max(tops, default=1))
    axes.set_xlabel("cosine of a face with ...")
    axes.set_ylabel("share of faces")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="upper left", frameon=True, ncols=2, fontsize=8)
    save_picture(figure, png, ("kind", "from", "to", "faces"), rows)


def _plot_norms(found: Audit, png: Path) -> None:
    figure, axes = new_figure("Norm of the teacher's embeddings: short ones are often poor pictures")
    suspicious = np.isin(np.arange(len(found.norm)), found.noise)
    rows: list[tuple[str, float, float, int]] = []
    for kind, values, colour in (
        ("all faces", found.norm, COLOURS[0]),
        ("suspected label noise", found.norm[suspicious], COLOURS[1]),
    ):
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        # Densities in bins of their own: a few dozen suspects in the bins of a million faces would be a comb.
        faces, edges = np.histogram(values, min(_BINS, 1 + 2 * round(len(values) ** (1 / 3))))
        density = faces / len(values) / np.diff(edges)
        axes.stairs(density, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(density, edges, color=colour, linewidth=1.5, label=f"{kind} ({len(values):,})")
        rows += [(kind, *ends) for ends in zip(edges[:-1].tolist(), edges[1:].tolist(), faces.tolist(), strict=True)]
    axes.set_xlabel("L2 norm before normalisation, mean over views")
    axes.set_ylabel("density")
    axes.legend(loc="best", frameon=True)
    save_picture(figure, png, ("kind", "from", "to", "faces"), rows)


def noise_sheet(found: Audit, cache: TeacherCache, source: FaceSource, png: Path, shown: int) -> None:
    """Each suspicious face, then the most typical faces of the person it is labelled as and of the closest other."""
    people, labels = source.people, cache.labels
    rows, seen = [], set()
    for sample, other, cosine in zip(found.noise.tolist(), found.nearest.tolist(), found.nearest_cosine, strict=True):
        own = int(labels[sample])
        if cache.counts[own] == 2 and own in seen:
            continue  # of two faces that differ, both are suspicious: one line shows both
        seen.add(own)
        cells = [
            Cell(sample, f"sample {sample}\ncosine {found.same[sample]:.3f}"),
            Cell(most_typical(found.same, labels, own, sample), f"{people[own]}\n{cache.counts[own]} faces"),
        ]
        if other >= 0:
            cells.append(Cell(most_typical(found.same, labels, other), f"{people[other]}\ncosine {cosine:.3f}"))
        rows.append(cells)
        if len(rows) == shown:
            break
    heading = "Probable label noise, worst first: the face | most typical face under its label | closest other person"
    contact_sheet(source, rows, png, heading, 3)


def duplicate_sheet(found: Audit, cache: TeacherCache, source: FaceSource, png: Path, shown: int) -> None:
    """The most typical face of both people of each suspicious pair."""
    rows = []
    for (a, b), cosine in zip(found.pairs[:shown].tolist(), found.pair_cosine, strict=False):
        cells = []
        for label, note in ((a, f"cosine {cosine:.3f}"), (b, "")):
            face = most_typical(found.same, cache.labels, label)
            number = "1 face" if cache.counts[label] == 1 else f"{cache.counts[label]:,} faces"
            cells.append(Cell(face, f"{source.people[label]}\n{number}\n{note}"))
        rows.append(cells)
    contact_sheet(source, rows, png, "Probably one person under two names, closest first", 4)
