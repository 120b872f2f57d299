"""Learning curves of runs, from the metrics.jsonl that training wrote, few enough for one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from common.documents import read_regular
from common.errors import UserError
from distill.histograms import is_share

if TYPE_CHECKING:
    from ablate.results import Run

# Numbers of all curves of a page together, and the fewest and most places of one curve.
_BUDGET, _FEWEST, _MOST = 40_000, 16, 120
_LARGEST = 1 << 28
# What is drawn of an evaluation: a set has dozens of numbers.
_A_SET = 6
_PLACES = ("step", "epoch")
_LINE = TypeAdapter(dict[str, float | None])


def learning_curves(folders: Sequence[Path | None], metrics: Sequence[str]) -> dict[str, Any]:
    """Curves by quantity: {"names": [...], "runs": [{name: [[epoch, ...], [value, ...]]} a folder]}.

    folders: None for a run that is not drawn. metrics: the study's own, which are first and always there. A run without
    curves, or with damaged ones, has none.
    """
    runs = [{} if folder is None else _read(folder / "metrics.jsonl") for folder in folders]
    names = _chosen(list(dict.fromkeys(name for run in runs for name in run)), metrics)
    curves = sum(name in run for run in runs for name in names)
    most = min(_MOST, max(_FEWEST, _BUDGET // max(curves, 1)))
    thinned = [{name: _thinned(run[name], most) for name in names if name in run} for run in runs]
    return {"names": names, "runs": thinned}


def drawn_folders(runs: "Sequence[Run]") -> list[Path | None]:
    """Of points with finished runs only these: a mean over seeds ends where the shortest of them does."""
    done = {run.point for run in runs if run.status == "done"}
    return [run.folder if run.status == "done" or run.point not in done else None for run in runs]


def _read(path: Path) -> dict[str, list[tuple[float, float]]]:
    """(epoch, value) of every quantity of a run; a line that a kill cut is left out."""
    try:
        lines = read_regular(path, largest=_LARGEST).splitlines()
    except UserError:
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        try:
            numbers = _LINE.validate_json(line)
        except (ValidationError, RecursionError):
            continue
        epoch = numbers.get("epoch")
        if epoch is None:
            continue
        for name, value in numbers.items():
            if name not in _PLACES and not is_share(name) and value is not None:
                found.setdefault(name, []).append((epoch, value))
    return {name: curve for name, curve in found.items() if len(curve) > 1}


def _chosen(names: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """The study's numbers, then what training says, then a few numbers a set."""
    of_training = [name for name in names if "." not in name]
    seen: dict[str, int] = {}
    of_sets = []
    for name in names:
        of_set, dot, metric = name.partition(".")
        if dot and name not in metrics and "threshold" not in metric and not metric.endswith((".far", "_std")):
            seen[of_set] = seen.get(of_set, 0) + 1
            of_sets += [name] if seen[of_set] <= _A_SET else []
    first = [name for name in ("loss", "cos_st") if name in of_training]
    return list(dict.fromkeys([*first, *(m for m in metrics if m in names), *of_sets, *of_training]))


def _thinned(curve: Sequence[tuple[float, float]], most: int) -> Mapping[str, list[float]]:
    """At most so many places, both ends among them, four digits each."""
    chosen = sorted({round(place * (len(curve) - 1) / (most - 1)) for place in range(most)})
    return {
        "x": [float(f"{curve[place][0]:.5g}") for place in chosen],
        "y": [float(f"{curve[place][1]:.4g}") for place in chosen],
    }
