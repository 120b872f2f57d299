"""Many checkpoints, one after the other: what is already evaluated is not evaluated again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from common.config import MeasureConfig
from common.documents import read_document
from common.embeddings import Embedder
from common.errors import DataError, UserError
from common.files import sha256_of, write_json
from evaluate.report import csv_rows, write_rows
from evaluate.run import evaluate_models
from evaluate.sets import DEFAULT

# Changes the pace, not the numbers.
_PACE = {"workers"}
_ANEW = "remove it and evaluate again"


class Record(BaseModel):
    """What is known of one checkpoint: its digest, the digest of every set it was evaluated on, and the rows."""

    checkpoint_sha256: str
    sets: dict[str, str]
    rows: list[dict[str, Any]]


def evaluate_folder(
    folder: Path,
    suffix: str,
    sets: Mapping[str, Path],
    out: Path,
    open_one: Callable[[Path], Embedder],
    options: MeasureConfig = DEFAULT,
    as_json: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Path]:
    """Evaluate every file below `folder` that ends in `suffix`, in order of name.

    A checkpoint goes by its path below `folder`, under which `out` gets a CSV of it and a JSON record of what its
    numbers belong to; out/all.csv, and with `as_json` out/all.json, has all of them. Sets whose digest and whose
    checkpoint's are those of the record are not evaluated again: a batch that was interrupted, has new checkpoints or
    is asked for more sets goes on.

    Raises DataError if there is no such file or set, UserError if `out` was begun with other options, and, when all
    the others are done, UserError naming checkpoints that could not be evaluated.
    """
    checkpoints = sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file())
    if not checkpoints:
        raise DataError(f"{folder}: no file ends in {suffix!r}: name a folder of students")
    digests = {name: _digest_of_set(path) for name, path in sets.items() if path.exists()}
    if not digests:
        raise DataError(f"there is nothing to evaluate on: {', '.join(f'{path} not found' for path in sets.values())}")
    _bind(out / "options.json", options.model_dump(mode="json", exclude=_PACE))
    rows, written, failed = [], [], []
    for checkpoint in checkpoints:
        name = checkpoint.relative_to(folder).as_posix()
        try:
            record = _evaluated(name, checkpoint, sets, digests, out, open_one, options, tell)
        except UserError as error:
            failed.append(name)
            tell(f"{name}: not evaluated: {error}")
            continue
        written.append(out / f"{name}.csv")
        write_rows(record.rows, written[-1])
        rows += record.rows
    if rows:  # a table of nothing would pass for one
        write_rows(rows, out / "all.csv")
        written.append(out / "all.csv")
    if rows and as_json:
        write_json(out / "all.json", rows, sort_keys=False)
        written.append(out / "all.json")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(checkpoints)} checkpoints could not be evaluated: {', '.join(failed)}: "
            "mend or remove them and run again"
        )
    return written


def _evaluated(
    name: str,
    checkpoint: Path,
    sets: Mapping[str, Path],
    digests: Mapping[str, str],
    out: Path,
    open_one: Callable[[Path], Embedder],
    options: MeasureConfig,
    tell: Callable[[str], None],
) -> Record:
    """A checkpoint's record, in which the sets that it lacks are evaluated first."""
    path, digest = out / f"{name}.json", sha256_of(checkpoint)
    record = Record(checkpoint_sha256=digest, sets={}, rows=[])
    if path.exists():
        found = read_document(path, Record, DataError, _ANEW)
        record = found if found.checkpoint_sha256 == digest else record
    lacking = {each: sets[each] for each in digests if record.sets.get(each) != digests[each]}
    if not lacking:
        tell(f"{name}: already evaluated on {', '.join(digests)}")
        return record
    results = evaluate_models({name: open_one(checkpoint)}, lacking, None, options).results
    kept = [row for row in record.rows if row.get("set") not in lacking]
    record = Record(
        checkpoint_sha256=digest,
        sets=record.sets | {each: digests[each] for each in lacking},
        rows=kept + csv_rows(results),
    )
    write_json(path, record.model_dump(), sort_keys=False)
    tell(f"{name}: evaluated on {', '.join(lacking)}")
    return record


def _digest_of_set(path: Path) -> str:
    """SHA-256 of a `.bin`, or of the protocol of a folder, whose pictures may be many gigabytes."""
    file = path / "metadata.pt" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: not a regular file; give a .bin, or a folder with metadata.pt")
    return sha256_of(file)


def _bind(path: Path, options: dict[str, Any]) -> None:
    """Lines of one table must be comparable: all are made with the options of the first."""
    if not path.exists():
        return write_json(path, options)
    begun = read_document(path, dict[str, Any], DataError, "remove the folder and evaluate again")
    for name in sorted(options.keys() | begun.keys()):
        if begun.get(name) != options.get(name):
            raise UserError(
                f"{path}: begun with {name} = {begun.get(name)}, now it is {options.get(name)}; choose another --out"
            )
