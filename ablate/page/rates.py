"""ROC, DET and CMC of runs, from the CSV files that their evaluation wrote beside its pictures."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.documents import read_regular
from common.errors import UserError
from common.text import csv_cell, file_name

_PLACES = 96  # of a curve's FARs, evenly on a logarithmic axis
_LARGEST = 1 << 27
TEACHER = "(teacher)"

# FARs and TARs of a staircase, or ranks and rates.
Curve = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Evaluated:
    """Where a run's report is, and what it calls the student."""

    folder: Path
    student: str


def rate_curves(runs: Sequence[Evaluated], sets: Sequence[str]) -> dict[str, Any]:
    """By set {"far": [...], "runs": [[TAR, ...] or None a run], "teacher": ..., "ranks": [...], "cmc": [...],
    "teacher_cmc": ...}; a kind of curve that no run has is left out.

    A TAR is the highest whose FAR does not exceed the place's, from one impostor pair's share to 1.
    """
    found = {name: _roc(runs, name) | _cmc(runs, name) for name in dict.fromkeys(sets)}
    return {name: curves for name, curves in found.items() if curves}


def _roc(runs: Sequence[Evaluated], name: str) -> dict[str, Any]:
    curves, teacher = _read(runs, f"roc-{file_name(name)}.csv", ("far", "tar"))
    all_curves = [curve for curve in (*curves, teacher) if curve is not None]
    if not any(curve is not None for curve in curves):
        return {}
    lowest = min((float(far[far > 0].min()) for far, _ in all_curves if (far > 0).any()), default=0.1)
    places = np.logspace(math.log10(lowest), 0, _PLACES)
    places[0], places[-1] = lowest, 1.0
    tars = [None if curve is None else _at_most(curve, places) for curve in (*curves, teacher)]
    return {"far": [float(f"{place:.4g}") for place in places], "runs": tars[:-1], "teacher": tars[-1]}


def _cmc(runs: Sequence[Evaluated], name: str) -> dict[str, Any]:
    curves, teacher = _read(runs, f"cmc-{file_name(name)}.csv", ("rank", "rate"))
    known = [curve for curve in (*curves, teacher) if curve is not None]
    if not any(curve is not None for curve in curves):
        return {}
    ranks = max((curve[0] for curve in known), key=len)
    rates = [None if curve is None or len(curve[0]) != len(ranks) else _short(curve[1]) for curve in (*curves, teacher)]
    return {"ranks": [int(rank) for rank in ranks], "cmc": rates[:-1], "teacher_cmc": rates[-1]}


def _read(runs: Sequence[Evaluated], file: str, columns: tuple[str, str]) -> tuple[list[Curve | None], Curve | None]:
    """The student's curve of every run, and the first teacher's there is."""
    students: list[Curve | None] = []
    teacher: Curve | None = None
    for run in runs:
        by_model = _read_csv(run.folder / file, columns)
        # Of several poolings of templates the first, which is named MODEL LETTERS.
        mine = str(csv_cell(run.student))
        names = [model for model in by_model if model == mine or (model.startswith(f"{mine} ") and "(" not in model)]
        students.append(by_model[names[0]] if names else None)
        teacher = teacher or next((curve for model, curve in by_model.items() if TEACHER in model), None)
    return students, teacher


def _read_csv(path: Path, columns: tuple[str, str]) -> Mapping[str, Curve]:
    """Curves by model; none where the file is missing, damaged or another's."""
    try:
        text = read_regular(path, largest=_LARGEST).decode(errors="replace")
        rows: dict[str, list[tuple[float, float]]] = {}
        for row in csv.DictReader(text.splitlines()):
            rows.setdefault(row["model"], []).append((float(row[columns[0]]), float(row[columns[1]])))
    except (UserError, KeyError, TypeError, ValueError, csv.Error):
        return {}
    tables = {model: np.array(of_model) for model, of_model in rows.items()}
    return {model: (table[:, 0], table[:, 1]) for model, table in tables.items() if np.isfinite(table).all()}


def _at_most(curve: Curve, places: np.ndarray) -> list[float]:
    far, tar = curve
    order = np.argsort(far, kind="stable")
    best = np.maximum.accumulate(tar[order])
    at = np.searchsorted(far[order], places * (1 + 1e-9), "right") - 1
    return _short(np.where(at >= 0, best[np.maximum(at, 0)], 0.0))


def _short(rates: np.ndarray) -> list[float]:
    return [float(f"{rate:.5g}") for rate in rates]
