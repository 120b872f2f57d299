"""Reports side by side: one table of the main number of every set, and how far each model is from the first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.table import Table

from common.documents import read_document
from common.errors import DataError
from evaluate.report.tables import name_cell


class Report(BaseModel):
    """What results.json holds, as far as it is compared: summaries by model and set."""

    results: dict[str, dict[str, dict[str, Any]]]


def read_reports(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Summaries by model and set from the results.json of each report; of two models of one name the later folder's
    gets the folder's name added. Raises DataError naming a report that is missing or damaged."""
    merged: dict[str, dict[str, Any]] = {}
    for folder in folders:
        path = folder / "results.json" if folder.is_dir() else folder
        results = read_document(path, Report, DataError, "no evaluation report: name the folder of one").results
        for model, sets in results.items():
            strange = [name for name, summary in sets.items() if main_number(summary) is None]
            if strange:
                raise DataError(f"{path}: no number of {model} on {strange[0]}: evaluate it again")
            merged[model if model not in merged else f"{model} ({path.parent.name})"] = dict(sets)
    return merged


def main_number(summary: Mapping[str, Any]) -> tuple[str, float] | None:
    """The number a set is known by: accuracy, TinyFace's first rank (1), or IJB's TAR at 1e-4 (else at the lowest FAR)
    of the first pooling."""
    try:
        if "accuracy" in summary:
            return "accuracy", float(summary["accuracy"])
        if "rank" in summary:
            rank = min(summary["rank"], key=int)
            return f"rank-{rank}", float(summary["rank"][rank])
        for letters, entry in summary.items():
            if isinstance(entry, dict) and "tar_at_far" in entry:
                far = "0.0001" if "0.0001" in entry["tar_at_far"] else min(entry["tar_at_far"], key=float)
                return f"{letters} TAR@{float(far):.0e}".replace("e-0", "e-"), float(entry["tar_at_far"][far]["tar"])
    except (KeyError, TypeError, ValueError):
        pass
    return None


def comparison_table(reports: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line a model, a column a set, percentages; in brackets the difference to the first model."""
    sets = list(dict.fromkeys(name for summaries in reports.values() for name in summaries))
    first = next(iter(reports.values()), {})
    table = Table(title="Comparison", caption="percent; in brackets points above or below the first model")
    table.add_column("model")
    for name in sets:
        known = [found for summaries in reports.values() if (found := main_number(summaries.get(name, {})))]
        table.add_column(name_cell(f"{name} {known[0][0]}" if known else name), justify="right")
    for model, summaries in reports.items():
        cells = []
        for name in sets:
            mine, base = main_number(summaries.get(name, {})), main_number(first.get(name, {}))
            cell = f"{100 * mine[1]:.2f}" if mine else ""
            if mine and base and summaries is not first:
                cell += f" ({100 * (mine[1] - base[1]):+.2f})"
            cells.append(cell)
        table.add_row(name_cell(model), *cells)
    return table
