"""What evaluation leaves behind: results.json, results.csv, a ROC picture a set, and one table for the eye."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from evaluate.plots import plot_roc
from evaluate.verification import VerificationResult

# Results by model, then by set.
Results = Mapping[str, Mapping[str, VerificationResult]]


def write_report(results: Results, out: Path, skipped: Mapping[str, str] | None = None) -> list[Path]:
    """Write the report of several models into the folder `out`; the files written.

    `skipped` says, by set, why a set was left out. results.csv has one line a model and set; the ROC pictures
    (roc-SET.png) show all models on one set, and roc-SET.csv holds the numbers behind them.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = [out / "results.json", out / "results.csv"]
    summaries = {model: {name: result.summary() for name, result in sets.items()} for model, sets in results.items()}
    written[0].write_text(json.dumps({"results": summaries, "skipped": dict(skipped or {})}, indent=1) + "\n")
    write_csv(csv_rows(results), written[1])
    for name in dict.fromkeys(name for sets in results.values() for name in sets):
        curves = {model: sets[name].roc() for model, sets in results.items() if name in sets}
        written += plot_roc(curves, out / f"roc-{name}.png", title=f"{name}: verification")
    return written


def csv_rows(results: Results) -> list[dict[str, Any]]:
    """One flat row a model and set; rates are fractions."""
    rows = []
    for model, sets in results.items():
        for name, result in sets.items():
            row: dict[str, Any] = {"model": model, "set": name}
            for key, value in result.summary().items():
                if isinstance(value, dict):
                    row |= {f"{key}_{far}": point["tar"] for far, point in value.items()}
                elif not isinstance(value, list):
                    row[key] = value
            rows.append(row)
    return rows


def write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows whose keys may differ; a missing value is an empty cell."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def results_table(results: Results) -> Table:
    """The table for the terminal: a line a model and set, percentages."""
    every = [result for sets in results.values() for result in sets.values()]
    targets = list(dict.fromkeys(far for result in every for far in result.tar_at_far))
    table = Table(
        title="Verification",
        caption="10-fold accuracy and VAL ± deviation over folds; threshold: squared distance; TAR at the nearest FAR",
    )
    table.add_column("model")
    table.add_column("set")
    for heading in (
        "accuracy %",
        "threshold",
        "VAL %",
        *(f"TAR % @{far:g}" for far in targets),
        "EER %",
    ):
        table.add_column(heading, justify="right")
    for model, sets in results.items():
        for name, result in sets.items():
            rates = [result.tar_at_far[far].tar if far in result.tar_at_far else None for far in targets]
            table.add_row(
                model,
                name,
                f"{100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f}",
                f"{result.threshold:.3f}",
                f"{100 * result.val:.2f} ± {100 * result.val_std:.2f}",
                *("" if rate is None else f"{100 * rate:.2f}" for rate in rates),
                f"{100 * result.eer:.2f}",
            )
        table.add_section()
    return table
