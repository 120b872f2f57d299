"""Where an ablation stands: one live table on a terminal, a line a change and minute where the output is read."""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ablate.points import PlannedRun
from common.output import say
from common.plan import duration_text
from common.text import printable

SECONDS_BETWEEN_LINES = 60.0
SHOWN_DONE = 5
LONGEST_LABEL = 36

State = Literal["waiting", "elsewhere", "training", "evaluating", "done", "failed"]


@dataclass
class _Line:
    state: State = "waiting"
    text: str = ""
    since: float = field(default_factory=time.monotonic)
    said: float = 0.0


class LiveTable:
    """States of runs by their keys, and the last word of each."""

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self._runs = {run.key: run.label for run in runs}
        self._lines = {run.key: _Line() for run in runs}
        self._began = time.monotonic()
        self._worked: list[float] = []  # seconds of runs that were trained here
        terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._live = Live(console=Console(), auto_refresh=False) if terminal else None

    def state(self, key: str, state: State, text: str = "") -> None:
        """A run's state has changed."""
        line = self._lines[key]
        if (line.state, line.text) == (state, text):
            return
        if state == "done" and line.state in ("training", "evaluating"):
            self._worked.append(time.monotonic() - line.since)
        fresh = state != "evaluating"
        self._lines[key] = _Line(state, text, time.monotonic() if fresh else line.since, time.monotonic())
        if self._live is None:
            self._say(key, f"{state}{f': {text}' if text else ''}")
        self._show()

    def progress(self, key: str, text: str) -> None:
        """What a running one said last."""
        line = self._lines[key]
        if not text or text == line.text:
            return
        line.text = text
        if self._live is None and time.monotonic() - line.said >= SECONDS_BETWEEN_LINES:
            line.said = time.monotonic()
            self._say(key, text)
        self._show()

    def count(self, *states: State) -> int:
        """How many runs are in one of these states."""
        return sum(line.state in states for line in self._lines.values())

    def table(self) -> Table:
        """What runs, what failed, the last that were done, and how many wait."""
        done = [key for key, line in self._lines.items() if line.state == "done"]
        shown = [key for key, line in self._lines.items() if line.state not in ("waiting", "done")]
        table = Table(caption=self._caption(), caption_justify="left", box=None, pad_edge=False, expand=True)
        table.add_column("run", no_wrap=True, overflow="ellipsis", max_width=LONGEST_LABEL)
        for _ in ("state", "elapsed"):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)  # alone gives way on a narrow terminal
        for key in sorted(done, key=lambda key: self._lines[key].since)[-SHOWN_DONE:] + shown:
            line = self._lines[key]
            elapsed = "" if line.state in ("done", "failed") else duration_text(time.monotonic() - line.since)
            table.add_row(*map(printable, (self._runs[key], line.state, elapsed, line.text)))
        return table

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._show()
        if self._live is not None:
            self._live.stop()

    def _caption(self) -> str:
        waiting, running = self.count("waiting"), self.count("training", "evaluating")
        words = [f"{self.count('done')} of {len(self._lines)} done", f"{running} running", f"{waiting} waiting"]
        words += [f"{number} elsewhere"] if (number := self.count("elsewhere")) else []
        words += [f"{number} failed"] if (number := self.count("failed")) else []
        if self._worked and waiting + running:
            each = sum(self._worked) / len(self._worked)
            words.append(f"about {duration_text(each * (waiting + running / 2) / max(running, 1))} left")
        return ", ".join(words)

    def _say(self, key: str, text: str) -> None:
        say(f"[{self.count('done')}/{len(self._lines)}] {self._runs[key]}: {text}")

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self.table(), refresh=True)
