"""One command a run, for a scheduler of one's own."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from ablate.points import Ablation, PlannedRun


def command_of(ablation: Ablation, run: PlannedRun, root: Path, overrides: Iterable[str] = (), ranks: int = 1) -> str:
    """The shell command that trains and evaluates one run; of a plain experiment, the one that trains it."""
    config, settings = ["--config", f"{ablation.path}", "--data", f"{root}"], [*_settings(overrides)]
    if not run.digest:
        return shlex.join(["python", "-m", "distill", "train", *config, *settings])
    several = ["--ranks", str(ranks)] if ranks > 1 else []
    return shlex.join(["python", "-m", "ablate", "run", *config, *settings, *several, "--only", run.digest])


def _settings(overrides: Iterable[str]) -> Iterable[str]:
    for text in overrides:
        yield from ("--set", text)
