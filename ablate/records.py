"""What a run of an ablation leaves in its folder, and reading it: finished, evaluated, failed.

runs/NAME/summary.json                 training ended (distill/run/students.py)
runs/NAME/evaluation/results.json      the report of `python -m evaluate run`
runs/NAME/evaluation/evaluated.json    what that report is of
runs/NAME/failure.json                 why the last attempt ended
"""

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from common.config import Config
from common.documents import read_document
from common.errors import DataError
from common.files import appears, sha256_of, write_json
from common.text import printable

CLAIMS = Path("runs/ablations")  # what processes claim runs by
STUDENTS = ("student.safetensors", "best.safetensors")
# Changes the pace of an evaluation, not its numbers.
_PACE = {"workers", "batch_size", "origin", "teacher"}


class Summary(BaseModel):
    """summary.json, as far as it is read."""

    seconds: float
    steps: int
    ranks: int = 1
    computed_with: dict[str, str | int] = {}


class Report(BaseModel):
    """results.json: by model, by set, the numbers."""

    results: dict[str, dict[str, dict[str, Any]]]
    skipped: dict[str, str] = {}


class Evaluated(BaseModel):
    """What an evaluation was of: digests of the students, how it measured, and the teacher measured beside them."""

    model_config = ConfigDict(strict=True)

    students: dict[str, str]
    options: dict[str, Any]
    sets: list[str]
    teacher: dict[str, Any] | None = None


class Failure(BaseModel):
    """Why an attempt ended, where, and a word that no other attempt has."""

    why: str
    host: str
    attempt: str


def evaluation_of(config: Config) -> Path:
    """The folder of a run's report."""
    return config.run_dir / "evaluation"


def finished(config: Config) -> bool:
    """Whether a run's training has ended well."""
    return appears(config.run_dir / "summary.json") and appears(config.run_dir / STUDENTS[0])


def read_summary(config: Config) -> Summary:
    """What a finished training took. Raises DataError for a damaged file."""
    return read_document(config.run_dir / "summary.json", Summary)


def asked_of(config: Config, root: Path, teacher: bool) -> Evaluated:
    """What an evaluation of a finished run would be of, now."""
    files = [config.run_dir / name for name in STUDENTS]
    return Evaluated(
        students={file.name: sha256_of(file) for file in files if file.exists()},
        options=config.evaluate.model_dump(mode="json", exclude=_PACE),
        sets=sorted(name for name, path in config.evaluate.sets.items() if (root / path).exists()),
        teacher=config.teacher.model_dump(mode="json") if teacher and config.teacher is not None else None,
    )


def evaluated(config: Config) -> Evaluated | None:
    """What the report in a run's folder is of; None where there is none, or one that cannot be read."""
    path = evaluation_of(config) / "evaluated.json"
    if not appears(path) or not appears(path.with_name("results.json")):
        return None
    with suppress(DataError):
        return read_document(path, Evaluated)
    return None


def evaluation_holds(config: Config, root: Path) -> bool:
    """Whether the report in a finished run's folder is of this student, these options and the sets there are."""
    found = evaluated(config)
    now = asked_of(config, root, teacher=False)
    return found is not None and found.model_copy(update={"teacher": None}) == now


def complete(config: Config, root: Path) -> bool:
    """Whether a run is trained, and evaluated on the sets that are there."""
    if not finished(config):
        return False
    return evaluation_holds(config, root) or not asked_of(config, root, teacher=False).sets


def note_evaluation(config: Config, root: Path, teacher: bool) -> None:
    """Write down what the report that has just been made is of."""
    write_json(evaluation_of(config) / "evaluated.json", asked_of(config, root, teacher).model_dump())


def read_report(config: Config) -> Report | None:
    """The report in a run's folder; None where there is none. Raises DataError for a damaged one."""
    path = evaluation_of(config) / "results.json"
    return read_document(path, Report, DataError, "evaluate again") if appears(path) else None


def note_failure(folder: Path, why: str) -> None:
    """Write down why an attempt ended."""
    failure = Failure(why=why, host=socket.gethostname(), attempt=secrets.token_hex(8))
    write_json(folder / "failure.json", failure.model_dump())


def forget_failure(folder: Path) -> None:
    """A new attempt begins."""
    with suppress(OSError):
        os.unlink(folder / "failure.json")


def failure_of(folder: Path) -> Failure | None:
    """Why the last attempt ended; None where none did so badly."""
    path = folder / "failure.json"
    if appears(path):
        with suppress(DataError):
            return read_document(path, Failure)
    return None


def failure_text(failure: Failure | None) -> str:
    """A failure as a line."""
    return "" if failure is None else printable(failure.why)


def rates(prefix: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers of a nested summary under dotted names; counts, texts and lists are left out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from rates(f"{prefix}.{key}", inner)
    elif isinstance(value, float):
        yield prefix, value
