"""The table of a check, in Markdown, for docs/results/."""

import datetime
import re
from collections.abc import Mapping, Sequence

from benchmarks.gpu.finding import summary
from benchmarks.gpu.runner import Outcome


def table(machine: Mapping[str, str], day: datetime.date, outcomes: Sequence[Outcome]) -> str:
    """The page: the machine, the summary, a line a finding and the seconds of each row."""
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    lines = [f"# GPU check: {machine['card']}, {day.isoformat()}", "", "| | |", "|---|---|"]
    lines += [f"| {cell(name)} | {cell(value)} |" for name, value in machine.items()]
    lines += ["", f"{summary(findings)}, by `make gpu-check`.", ""]
    lines += ["| row | what | figure | bound | |", "|---|---|---|---|---|"]
    for outcome in outcomes:
        for finding in outcome.findings:
            words = (outcome.row.name, finding.what, finding.figure, finding.bound, finding.verdict)
            lines.append(f"| {' | '.join(map(cell, words))} |")
    seconds = ", ".join(f"{outcome.row.name} {outcome.seconds:.0f}" for outcome in outcomes)
    total = sum(outcome.seconds for outcome in outcomes) / 60
    return "\n".join([*lines, "", f"Seconds: {seconds}; {total:.1f} minutes in all.", ""])


def file_name(machine: Mapping[str, str], day: datetime.date) -> str:
    """`gpu-NVIDIA-H100-80GB-HBM3-2026-11-24.md`."""
    card = re.sub(r"[^A-Za-z0-9]+", "-", machine["card"].removeprefix("1 x ")).strip("-")
    return f"gpu-{'no-card' if machine['card'] == 'none' else card}-{day.isoformat()}.md"


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()
