"""Many checkpoints, one after the other: what is already evaluated is not evaluated again."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.config import MeasureConfig
from common.errors import DataError, UserError
from common.files import replacing, write_json
from evaluate.embed import Embedder
from evaluate.report import csv_rows, write_csv
from evaluate.run import evaluate_models
from evaluate.sets import DEFAULT

# Changes the pace, not the numbers.
_PACE = {"workers"}


def evaluate_folder(
    folder: Path,
    suffix: str,
    sets: Mapping[str, Path],
    out: Path,
    open_one: Callable[[Path], Embedder],
    how: MeasureConfig = DEFAULT,
    as_json: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Path]:
    """Evaluate every file below `folder` that ends in `suffix`, in order of name.

    Writes out/NAME.csv for each (NAME is its path below `folder`, joined with dashes), out/all.csv of all of them, and
    with `as_json` out/all.json. A checkpoint whose CSV is newer than itself and has a row for every set that exists is
    left as it is; so a batch that was interrupted, or has new checkpoints, goes on.

    Raises DataError if there is no such file, UserError if `out` was begun with other options.
    """
    checkpoints = sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file())
    if not checkpoints:
        raise DataError(f"{folder}: no file ends in {suffix!r}")
    _bind(out / "options.json", how.model_dump(mode="json", exclude=_PACE))
    present = {name for name, path in sets.items() if path.exists()}
    rows, written = [], []
    for checkpoint in checkpoints:
        name = "-".join(checkpoint.relative_to(folder).parts)
        report = out / f"{name}.csv"
        if not _is_done(report, checkpoint, present):
            evaluation = evaluate_models({name: open_one(checkpoint)}, sets, None, how)
            with replacing(report) as unfinished:
                write_csv(csv_rows(evaluation.results), unfinished)
            tell(f"{name}: evaluated")
        else:
            tell(f"{name}: already evaluated, {report}")
        with report.open(newline="") as file:
            rows += list(csv.DictReader(file))
        written.append(report)
    write_csv(rows, out / "all.csv")
    written.append(out / "all.csv")
    if as_json:
        (out / "all.json").write_text(json.dumps(rows, indent=1) + "\n")
        written.append(out / "all.json")
    return written


def _bind(path: Path, options: dict[str, Any]) -> None:
    """Lines of one table must be comparable: all are made with the options of the first."""
    if not path.exists():
        return write_json(path, options)
    try:
        begun: dict[str, Any] = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: damaged: {error}; remove the folder and evaluate again") from error
    for name in sorted(options.keys() | begun.keys()):
        if begun.get(name) != options.get(name):
            raise UserError(
                f"{path}: begun with {name} = {begun.get(name)}, now it is {options.get(name)}; choose another --out"
            )


def _is_done(report: Path, checkpoint: Path, sets: set[str]) -> bool:
    if not report.exists() or report.stat().st_mtime < checkpoint.stat().st_mtime:
        return False
    with report.open(newline="") as file:
        return sets <= {row.get("set") for row in csv.DictReader(file)}
