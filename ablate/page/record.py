"""A study as a record to be kept: every raw value, the tests, machine and versions, files, commands."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ablate.page.tables import markdown_of, markdown_text, pipes
from ablate.page.words import DASH, beside, counted, headline, metric_name, sentence
from common.text import printable

if TYPE_CHECKING:
    from ablate.results import Run, Study
    from ablate.statistics import Verdict

_PYTHON = "`python` is the environment's: `source .venv/bin/activate` once, or write `.venv/bin/python`."


def record_of(study: "Study", verdicts: "Mapping[str, Sequence[Verdict]]", command: str) -> str:
    """Markdown. command: what writes it."""
    tests = [_tests(study, metric, verdicts.get(metric, ())) for metric in study.metrics]
    parts = [
        markdown_of(study, verdicts).strip(),
        "## The tests\n\nWhat they are: [ablations.md](../ablations.md#statistics).\n\n" + "\n".join(tests),
        f"## Every value\n\nOf the last step's student, not rounded.\n\n{_values(study)}",
        f"## Machine and versions\n\n{_machines(study.runs)}",
        f"## To make it again\n\n{_PYTHON}\n\n{_code(_commands(study, command))}",
        *(f"## {markdown_text(name)}\n\n{_code(text)}" for name, text in study.files.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _tests(study: "Study", metric: str, verdicts: "Sequence[Verdict]") -> str:
    lines = [f"**{markdown_text(headline(verdicts, study.baseline, metric))}**", ""]
    for verdict in verdicts:
        told = f"{sentence(verdict, study.baseline)} {beside(verdict)}"
        lines.append(f"* {markdown_text(told.strip())}")
    return "\n".join(lines) + "\n"


def _values(study: "Study") -> str:
    heads = ["point", "seed", *(markdown_text(metric_name(metric)) for metric in study.metrics), "seconds", "run"]
    lines = [pipes(heads), pipes(["---", *("---:" for _ in heads[1:-1]), "---"])]
    for run in study.runs:
        numbers = [f"{run.metrics[metric]!r}" if metric in run.metrics else DASH for metric in study.metrics]
        seconds = f"{run.seconds:,.0f}" if run.seconds is not None else run.status
        lines.append(
            pipes([markdown_text(run.point), f"{run.seed}", *numbers, seconds, markdown_text(run.folder.name)])
        )
    return "\n".join(lines)


def _machines(runs: "Sequence[Run]") -> str:
    """What trained how many runs, the most used first."""
    found = Counter(_computed_with(run) for run in runs if run.status == "done")
    return "\n".join(f"* {counted(count, 'run')}: {markdown_text(text)}" for text, count in found.most_common())


def _computed_with(run: "Run") -> str:
    return ", ".join(f"{name} {value}" for name, value in run.computed_with.items()) or "not kept"


def _commands(study: "Study", command: str) -> str:
    all_of_it = shlex.split(command)
    if "report" in all_of_it:
        all_of_it[all_of_it.index("report")] = "run"
    asked = [f"{shlex.join(all_of_it)} --build", f"{command} --format record"]
    return "\n".join([*asked, "", *study.commands])


def _code(text: str) -> str:
    """Indented, which nothing in it can end."""
    return "\n".join(f"    {printable(line)}".rstrip() for line in text.strip().splitlines())
