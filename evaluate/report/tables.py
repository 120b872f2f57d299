"""Tables for the terminal, one a kind of set: a line a model and set, rates in percent."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from common.text import printable
from evaluate.protocols import Point, TemplateResult, TinyFaceResult, VerificationResult, shown_at
from evaluate.report.report import Results, csv_rows
from evaluate.sets import Result


def name_cell(name: str) -> Text:
    """A name from outside as a cell or heading: shown as it is, nothing in it obeyed as markup or by the terminal."""
    return Text(printable(name))


def results_table(results: Results) -> Group:
    """Tables for the terminal, one a kind of set: a line a model and set, percentages."""
    found = [(model, name, result) for model, sets in results.items() for name, result in sets.items()]
    pairs = [(model, name, result) for model, name, result in found if isinstance(result, VerificationResult)]
    templates = [(model, name, result) for model, name, result in found if isinstance(result, TemplateResult)]
    tinyface = [(model, name, result) for model, name, result in found if isinstance(result, TinyFaceResult)]
    with_tables = VerificationResult | TemplateResult | TinyFaceResult
    others = [(model, name, result) for model, name, result in found if not isinstance(result, with_tables)]
    tables = [_verification_table(pairs)] if pairs else []
    tables += [_template_table(templates)] if templates else []
    tables += [_tinyface_table(tinyface)] if tinyface else []
    tables += [_summary_table(others)] if others else []
    return Group(*tables)


def _table(title: str, caption: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption)
    table.add_column("model")
    table.add_column("set")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f}"


def _tar(point: Point | None, far: float, impostors: int) -> str:
    """A rate in percent; `n/a (600 pairs)` where so few impostor pairs cannot show the FAR."""
    if point is None:
        return ""
    return f"{100 * point.tar:.2f}" if shown_at(far, impostors) else f"n/a ({impostors:,} pairs)"


def _verification_table(found: list[tuple[str, str, VerificationResult]]) -> Table:
    targets = list(dict.fromkeys(far for _, _, result in found for far in result.tar_at_far))
    table = _table(
        "Verification",
        "10-fold accuracy and VAL ± deviation over folds; threshold: cosine; VAL @ the FAR it really had; TAR at the "
        "nearest FAR, n/a: less than one of the set's impostor pairs",
        ("accuracy %", "threshold", "VAL %", *(f"TAR % @{far:g}" for far in targets), "EER %", "AUC %", "XNorm"),
    )
    for model, name, result in found:
        table.add_row(
            name_cell(model),
            name_cell(name),
            f"{100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f}",
            f"{result.cosine_threshold:.3f}",
            f"{100 * result.val:.2f} ± {100 * result.val_std:.2f} @{result.val_far:.2g}",
            *(_tar(result.tar_at_far.get(far), far, result.impostors) for far in targets),
            _percent(result.eer),
            _percent(result.auc),
            "" if result.xnorm is None else f"{result.xnorm:.2f}",
        )
    return table


def _template_table(found: list[tuple[str, str, TemplateResult]]) -> Table:
    targets = list(next(iter(found[0][2].poolings.values())).tar_at_far)
    many = [entry.two_galleries for _, _, result in found for entry in result.poolings.values() if entry.two_galleries]
    ranks = list(many[0].rank) if many else []
    fpirs = list(many[0].tpir_at_fpir) if many else []
    table = _table(
        "Templates (IJB)",
        "TAR % at the nearest FAR (n/a: less than one impostor pair); "
        "N: row lengths kept, D: weighted by detection score, F: mirror image added"
        + ("; ranks and TPIR % @FPIR of the two-gallery protocol" if many else ""),
        (
            "letters",
            *(f"{far:.0e}".replace("e-0", "e-") for far in targets),
            *(f"rank-{k}" for k in ranks),
            *(f"TPIR {fpir:g}" for fpir in fpirs),
        ),
    )
    for model, name, result in found:
        for pooling, entry in result.poolings.items():
            tars = [_tar(entry.tar_at_far[far], far, result.pairs - result.genuine) for far in targets]
            one = entry.two_galleries
            many_rates = [*one.rank.values(), *one.tpir_at_fpir.values()] if one else [None] * len(ranks + fpirs)
            cells = *tars, *map(_percent, many_rates)
            table.add_row(name_cell(model), name_cell(name), result.letters[pooling], *cells)
    return table


def _tinyface_table(found: list[tuple[str, str, TinyFaceResult]]) -> Table:
    ranks = list(found[0][2].rank)
    table = _table("TinyFace", "closed set, mates and distractors", [f"rank-{k} %" for k in ranks])
    for model, name, result in found:
        table.add_row(name_cell(model), name_cell(name), *(_percent(result.rank[k]) for k in ranks))
    return table


def _summary_table(found: list[tuple[str, str, Result]]) -> Table:
    """What has no table of its own: every number of its summary, as it is."""
    rows = [row for model, name, result in found for row in csv_rows({model: {name: result}})]
    headings = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in ("model", "set")]
    table = _table("Other sets", "numbers as they are in results.csv", headings)
    for row in rows:
        numbers = [row.get(key, "") for key in headings]
        cells = (f"{number:.4g}" if isinstance(number, float) else str(number) for number in numbers)
        table.add_row(name_cell(row["model"]), name_cell(row["set"]), *cells)
    return table
