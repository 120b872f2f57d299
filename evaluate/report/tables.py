"""Tables for the terminal, one a kind of set: a line a model and set, rates in percent."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from rich.console import Group

from common.text import WIDTH
from evaluate.protocols import (
    Point,
    PoolingResult,
    TemplateResult,
    TinyFaceResult,
    VerificationResult,
    shown_at,
)
from evaluate.report.grid import Grid, Row, lay_out
from evaluate.report.report import Results, csv_rows
from evaluate.sets import Result

MEAN = "mean"
NOT_SHOWN = "n/a"
NO_RATE = "n/a: a FAR finer than one of the set's impostor pairs"

Kind = TypeVar("Kind", VerificationResult, TemplateResult, TinyFaceResult)
Found = Sequence[tuple[str, str, Kind]]


def results_table(results: Results, width: int = WIDTH) -> Group:
    """Tables within `width` columns, one a kind of set: percentages, and of several sets a model's mean."""
    found = [(model, name, result) for model, sets in results.items() for name, result in sets.items()]
    pairs = [(model, name, result) for model, name, result in found if isinstance(result, VerificationResult)]
    templates = [(model, name, result) for model, name, result in found if isinstance(result, TemplateResult)]
    small = [(model, name, result) for model, name, result in found if isinstance(result, TinyFaceResult)]
    grids = [_verification(pairs)] if pairs else []
    grids += [_templates(templates)] if templates else []
    grids += [_tinyface(small)] if small else []
    with_a_table = VerificationResult | TemplateResult | TinyFaceResult
    others = [(model, name, result) for model, name, result in found if not isinstance(result, with_a_table)]
    grids += [_summaries(others)] if others else []
    return Group(*(lay_out(grid, width) for grid in grids))


def far_text(far: float) -> str:
    """A FAR as short as it can be written: 1e-4, 0.05."""
    short = f"{far:.0e}".replace("e-0", "e-")
    return short if float(short) == far else f"{far:g}"


def _verification(found: Found[VerificationResult]) -> Grid:
    fars = list(dict.fromkeys(far for _, _, result in found for far in result.tar_at_far))
    rates: dict[str, Callable[[VerificationResult], float | None]] = {
        "acc": lambda result: result.accuracy,
        "VAL": lambda result: result.val,
        **{f"TAR {far_text(far)}": _tar_of(far) for far in fars},
        "EER": lambda result: result.eer,
        "AUC": lambda result: result.auc,
    }
    headings = "acc", "± acc", "thr", "VAL", "± VAL", "@FAR", *list(rates)[2:], "XNorm"
    rows = []
    for model, sets in groupby(found, key=lambda entry: entry[0]):
        results = [(name, result) for _, name, result in sets]
        for name, result in results:
            numbers = {heading: _percent(rate(result)) for heading, rate in rates.items()}
            numbers |= {"± acc": _percent(result.accuracy_std), "± VAL": _percent(result.val_std)}
            numbers |= {"thr": f"{result.cosine_threshold:.3f}", "@FAR": f"{result.val_far:.2g}"}
            numbers["XNorm"] = "" if result.xnorm is None else f"{result.xnorm:.2f}"
            rows.append(Row((model, name), numbers))
        if len(results) > 1:
            means = {heading: mean([rate(result) for _, result in results]) for heading, rate in rates.items()}
            rows.append(Row((model, MEAN), {heading: _percent(rate) for heading, rate in means.items()}))
    legend = (
        "acc: 10-fold accuracy %, ± over folds; thr: its threshold, a cosine; VAL: % on held-out folds, @FAR it really "
        f"had; TAR: % at the nearest FAR, {NO_RATE}; EER, AUC: %; XNorm: mean length of embeddings"
    )
    return Grid("Verification", ("model", "set"), headings, rows, legend)


def _templates(found: Found[TemplateResult]) -> Grid:
    poolings = [entry for _, _, result in found for entry in result.poolings.values()]
    fars = list(poolings[0].tar_at_far)
    two_galleries = [entry.two_galleries for entry in poolings if entry.two_galleries]
    ranks = [f"rank {k}" for k in two_galleries[0].rank] if two_galleries else []
    fpirs = [f"TPIR {fpir:g}" for fpir in two_galleries[0].tpir_at_fpir] if two_galleries else []
    rows = [
        Row((model, name, result.letters[pooling]), _of_pooling(entry, result.pairs - result.genuine))
        for model, name, result in found
        for pooling, entry in result.poolings.items()
    ]
    legend = (
        f"TAR: % at the nearest FAR, {NO_RATE}; N1: row lengths kept, D1: weighted by detection score, F1: mirror "
        "image added" + ("; rank and TPIR (at FPIR): % of the two-gallery protocol" if two_galleries else "")
    )
    headings = *(f"TAR {far_text(far)}" for far in fars), *ranks, *fpirs
    return Grid("Templates (IJB)", ("model", "set", "letters"), headings, rows, legend)


def _of_pooling(entry: PoolingResult, impostors: int) -> dict[str, str]:
    numbers = {
        f"TAR {far_text(far)}": _percent(_shown(point, far, impostors)) for far, point in entry.tar_at_far.items()
    }
    if entry.two_galleries is not None:
        numbers |= {f"rank {k}": _percent(rate) for k, rate in entry.two_galleries.rank.items()}
        numbers |= {f"TPIR {fpir:g}": _percent(rate) for fpir, rate in entry.two_galleries.tpir_at_fpir.items()}
    return numbers


def _tinyface(found: Found[TinyFaceResult]) -> Grid:
    rows = [
        Row((model, name), {f"rank {k}": _percent(rate) for k, rate in result.rank.items()})
        for model, name, result in found
    ]
    headings = tuple(f"rank {k}" for k in found[0][2].rank)
    return Grid("TinyFace", ("model", "set"), headings, rows, "% of probes, closed set: mates and distractors")


def mean(rates: Sequence[float | None]) -> float | None:
    """The plain mean over sets; None if one has no such rate."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known and len(known) == len(rates) else None


def _percent(rate: float | None) -> str:
    return NOT_SHOWN if rate is None else f"{100 * rate:.2f}"


def _tar_of(far: float) -> Callable[[VerificationResult], float | None]:
    return lambda result: _shown(result.tar_at_far.get(far), far, result.impostors)


def _shown(point: Point | None, far: float, impostors: int) -> float | None:
    return point.tar if point is not None and shown_at(far, impostors) else None


def _summaries(found: Sequence[tuple[str, str, Result]]) -> Grid:
    """What has no table of its own: every number of its summary, as it is."""
    rows = []
    for model, name, result in found:
        [flat] = csv_rows({model: {name: result}})
        numbers = {key: value for key, value in flat.items() if key not in ("model", "set")}
        texts = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in numbers.items()}
        rows.append(Row((model, name), texts))
    headings = tuple(dict.fromkeys(heading for row in rows for heading in row.numbers))
    return Grid("Other sets", ("model", "set"), headings, rows, "numbers as they are in results.csv")
