"""What evaluation leaves behind: results.json, results.csv, pictures, and tables for the eye."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table

from evaluate.plots import plot_cmc, plot_det, plot_roc
from evaluate.score_plots import plot_quality, plot_scores
from evaluate.sets import Result
from evaluate.templates import TemplateResult
from evaluate.tinyface import TinyFaceResult
from evaluate.verification import VerificationResult

# Results by model, then by set.
Results = Mapping[str, Mapping[str, Result]]


def write_report(results: Results, out: Path, skipped: Mapping[str, str] | None = None) -> list[Path]:
    """Write the report of several models into the folder `out`; the files written.

    results.json has every number, results.csv one line a model and set. `skipped` says, by set, why it was left out.
    Pictures show all models on one set (roc-, det-, cmc-SET.png) or one model on one set (scores-, quality-SET-MODEL);
    each has a CSV of its numbers beside it.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "results.json", out / "results.csv"]
    summaries = {model: {name: result.summary() for name, result in sets.items()} for model, sets in results.items()}
    written[0].write_text(json.dumps({"results": summaries, "skipped": dict(skipped or {})}, indent=1) + "\n")
    write_csv(csv_rows(results), written[1])
    for name in dict.fromkeys(name for sets in results.values() for name in sets):
        written += _pictures(name, {model: sets[name] for model, sets in results.items() if name in sets}, out)
    return written


def csv_rows(results: Results) -> list[dict[str, Any]]:
    """One flat row a model and set; rates are fractions."""
    return [
        {"model": model, "set": name} | _flat("", result.summary())
        for model, sets in results.items()
        for name, result in sets.items()
    ]


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows whose keys may differ; a missing value is an empty cell."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def results_table(results: Results) -> Group:
    """Tables for the terminal, one a kind of set: a line a model and set, percentages."""
    found = [(model, name, result) for model, sets in results.items() for name, result in sets.items()]
    pairs = [(model, name, result) for model, name, result in found if isinstance(result, VerificationResult)]
    templates = [(model, name, result) for model, name, result in found if isinstance(result, TemplateResult)]
    small = [(model, name, result) for model, name, result in found if isinstance(result, TinyFaceResult)]
    tables = [_verification_table(pairs)] if pairs else []
    tables += [_template_table(templates)] if templates else []
    tables += [_tinyface_table(small)] if small else []
    return Group(*tables)


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        if "tar" in value:  # an operating point
            return {prefix: value["tar"]}
        parts = (_flat(f"{prefix}_{key}" if prefix else str(key), part) for key, part in value.items())
        return {key: number for part in parts for key, number in part.items()}
    return {} if isinstance(value, list | tuple) else {prefix: value}


def _pictures(name: str, by_model: Mapping[str, Result], out: Path) -> list[Path]:
    curves, ranks, written = {}, {}, []
    for model, result in by_model.items():
        if isinstance(result, VerificationResult):
            curves[model] = result.roc()
            meaning = "minus the squared distance of unit embeddings"
            written += plot_scores(curves[model], out / f"scores-{name}-{model}.png", f"{name}: {model}", meaning)
            if result.norms is not None:
                written += plot_quality(
                    result, out / f"quality-{name}-{model}.png", f"{name}: {model}, length of embeddings"
                )
        elif isinstance(result, TemplateResult):
            # Three curves a model are readable for one model only; of several, the first pooling is shown.
            for pooling, entry in list(result.poolings.items())[: None if len(by_model) == 1 else 1]:
                label = f"{model} {result.letters[pooling]}"
                curves[label] = entry.roc
                if entry.two_galleries is not None:
                    ranks[label] = entry.two_galleries.mate_ranks
            first, entry = next(iter(result.poolings.items()))
            title = f"{name}: {model} {result.letters[first]}"
            written += plot_scores(entry.roc, out / f"scores-{name}-{model}.png", title, "cosine of templates")
        elif isinstance(result, TinyFaceResult):
            ranks[model] = result.mate_ranks
    if curves:
        written += plot_roc(curves, out / f"roc-{name}.png", f"{name}: verification")
        written += plot_det(curves, out / f"det-{name}.png", f"{name}: detection error trade-off")
    if ranks:
        protocol = "closed set" if isinstance(next(iter(by_model.values())), TinyFaceResult) else "two galleries"
        written += plot_cmc(ranks, out / f"cmc-{name}.png", f"{name}: identification, {protocol}")
    return written


def _table(title: str, caption: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, caption=caption)
    table.add_column("model")
    table.add_column("set")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.2f}"


def _verification_table(found: list[tuple[str, str, VerificationResult]]) -> Table:
    targets = list(dict.fromkeys(far for _, _, result in found for far in result.tar_at_far))
    table = _table(
        "Verification",
        "10-fold accuracy and VAL ± deviation over folds; threshold: squared distance; TAR at the nearest FAR",
        ("accuracy %", "threshold", "VAL %", *(f"TAR % @{far:g}" for far in targets), "EER %", "AUC %", "XNorm"),
    )
    for model, name, result in found:
        table.add_row(
            model,
            name,
            f"{100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f}",
            f"{result.threshold:.3f}",
            f"{100 * result.val:.2f} ± {100 * result.val_std:.2f}",
            *(_percent(result.tar_at_far[far].tar if far in result.tar_at_far else None) for far in targets),
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
        "TAR % at the nearest FAR; N: row lengths kept, D: weighted by detection score, F: mirror image added"
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
            rates: list[float | None] = [entry.tar_at_far[far].tar for far in targets]
            one = entry.two_galleries
            rates += [*one.rank.values(), *one.tpir_at_fpir.values()] if one else [None] * len(ranks + fpirs)
            table.add_row(model, name, result.letters[pooling], *map(_percent, rates))
    return table


def _tinyface_table(found: list[tuple[str, str, TinyFaceResult]]) -> Table:
    ranks = list(found[0][2].rank)
    table = _table("TinyFace", "closed set, mates and distractors", [f"rank-{k} %" for k in ranks])
    for model, name, result in found:
        table.add_row(model, name, *(_percent(result.rank[k]) for k in ranks))
    return table
