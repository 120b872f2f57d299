"""Reports side by side: one table of the main number of every set, and how far each model is from the first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import RenderableType

from common.documents import read_document
from common.errors import DataError
from common.text import WIDTH
from evaluate.report.grid import Grid, Row, lay_out
from evaluate.report.tables import MEAN, far_text, mean


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
                return f"{letters} TAR {far_text(float(far))}", float(entry["tar_at_far"][far]["tar"])
    except (KeyError, TypeError, ValueError):
        pass
    return None


def comparison_table(reports: Mapping[str, Mapping[str, Any]], width: int = WIDTH) -> RenderableType:
    """A line a model, a column a set, percentages; in brackets the difference to the first model."""
    sets = list(dict.fromkeys(name for summaries in reports.values() for name in summaries))
    measures = {name: measured[0] for name in sets if (measured := _first(name, reports)) is not None}
    headings = {name: f"{name} {measures[name]}" if name in measures else name for name in sets}
    of_first = next((_rates(sets, summaries) for summaries in reports.values()), {})
    rows = []
    for model, summaries in reports.items():
        rates = _rates(sets, summaries)
        numbers = {headings[name]: _with_difference(rates[name], of_first[name], model, reports) for name in sets}
        if len(sets) > 1:
            numbers[MEAN] = _with_difference(mean(list(rates.values())), mean(list(of_first.values())), model, reports)
        rows.append(Row((model,), numbers))
    columns = (*headings.values(), *([MEAN] if len(sets) > 1 else []))
    legend = "percent; in brackets points above or below the first model"
    return lay_out(Grid("Comparison", ("model",), columns, rows, legend), width)


def _first(name: str, reports: Mapping[str, Mapping[str, Any]]) -> tuple[str, float] | None:
    return next((found for summaries in reports.values() if (found := main_number(summaries.get(name, {})))), None)


def _rates(sets: Sequence[str], summaries: Mapping[str, Any]) -> dict[str, float | None]:
    measured = {name: main_number(summaries.get(name, {})) for name in sets}
    return {name: found[1] if found else None for name, found in measured.items()}


def _with_difference(rate: float | None, base: float | None, model: str, reports: Mapping[str, Any]) -> str:
    if rate is None:
        return ""
    difference = f" ({100 * (rate - base):+.2f})" if base is not None and model != next(iter(reports)) else ""
    return f"{100 * rate:.2f}{difference}"
