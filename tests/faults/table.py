"""A table of faults: what is wrong on disk, which command meets it, and what its user must then see.

The rule for every row: the exit status is not 0; one line says what is wrong, names the file and what to do; there is
no traceback, no hang, no silent death; what was there before is there still; and nothing new claims to be whole.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.damage import Damage
from tests.faults.world import Outcome, contents, copied, run

ENDS_A_COMMAND = ("student.safetensors", "results.json", "all.csv")  # written last: where it is, all of it is
LINE = re.compile(r"^ *(?:Error|FAULT|MISSING): .*$", re.MULTILINE)
WHAT_TO_DO = re.compile(
    r"\b(add|build|change|choose|close|copy|correct|cut|did you mean|embed|end|evaluate|expected|export|free|get|give|"
    r"leave|lower|make|mend|must|name|pull|push(?:ed)?|raise|remove|render|repair|restore|run|save|see to|set|should|"
    r"stop|train|try|use|wait|was it moved|is the path right|write|allowed|at most|at least)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Row:
    """situation: its name. path: what is damaged. sees: pattern of the line. before: sets limits in the process."""

    situation: str
    path: str
    damage: Damage
    command: str
    sees: str
    before: Callable[[], None] | None = None
    slow: bool = True


def quick(row: Row) -> Row:
    """A row for `make test`; the others wait for `make test-faults`."""
    return Row(**{**row.__dict__, "slow": False})


def rows(path: str, damages: dict[str, Damage], commands: Iterable[str], sees: str | None = None) -> list[Row]:
    """Every damage of a file under every command; the line names the file unless `sees` says what else."""
    return [
        Row(name, path, damage, command, sees or re.escape(path))
        for name, damage in damages.items()
        for command in commands
    ]


def table(found: list[Row]) -> pytest.MarkDecorator:
    """Parametrize a test by rows, each with a name to find it by."""
    named = [
        pytest.param(
            row,
            id=f"{row.path} {row.situation} - {' '.join(row.command.split(' ')[:2])}",
            marks=[pytest.mark.slow] if row.slow else [],
        )
        for row in found
    ]
    return pytest.mark.parametrize("row", named)


def assert_refused(row: Row, template: Path, undamaged: dict[str, str], folder: Path) -> None:
    """Damage a copy of the world, run the row's command in it, and hold it to the rule."""
    copied(template, folder)
    row.damage(folder / row.path)
    before = contents(folder)
    outcome = run(folder, row.command, before=row.before)
    assert_rule(outcome, row.sees)
    after = contents(folder)
    lost = [name for name in before if after.get(name) != before[name] and not _grows(name)]
    assert not lost, f"{lost} changed or gone\n{outcome.printed}"
    whole = [name for name in after if name not in undamaged and name not in before and _is_whole(folder / name)]
    assert not whole, f"{whole} written by a command that failed\n{outcome.printed}"


def assert_rule(outcome: Outcome, sees: str) -> None:
    """Exit status, one line, path and remedy, no traceback."""
    printed = outcome.printed
    assert outcome.code is not None, f"it hangs\n{printed}"
    assert outcome.code in (1, 2), f"exit status {outcome.code}\n{printed}"
    assert "Traceback" not in printed, printed
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", printed.replace("\r\n", "\n")), repr(printed)
    lines = LINE.findall(printed)
    errors = [line for line in lines if line.lstrip().startswith("Error: ")]
    assert lines, f"no line says what is wrong\n{printed}"
    assert len(errors) <= 1, printed
    if errors:
        assert printed.rstrip().endswith(errors[0]), f"more after the line\n{printed}"
    told = [line for line in lines if re.search(sees, line)]
    assert told, f"no line has {sees!r}\n{printed}"
    assert errors == [] or WHAT_TO_DO.search(errors[0]), f"nothing says what to do\n{printed}"


def _is_whole(path: Path) -> bool:
    """Whether a file says that a cache is sealed, a student trained, a report written."""
    sealed = path.name == "zarr.json" and re.search(rb'"sealed":\s*\{', path.read_bytes())
    unfinished = any(name.startswith(".") for name in path.parts)  # a name that no command reads
    return not unfinished and (path.name in ENDS_A_COMMAND or bool(sealed))


def _grows(name: str) -> bool:
    """What a run writes while it runs: logs, and the curve of its progress."""
    return "/tensorboard/" in name
