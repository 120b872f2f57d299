"""What the first rank says while a run goes on: one live line on a terminal, plain lines where the output is read."""

import os
import shutil
import sys
import textwrap
import time
from typing import Self

from common.plan import duration_text
from common.runtime import rank
from common.text import printable

WIDTH = 79
SECONDS_BETWEEN_UPDATES = 0.2
_CLEARED = "\r\x1b[K"


def say(text: str) -> None:
    """A line from the first rank. Where nobody listens any more (`| head -1`, a closed terminal) the run goes on."""
    _write(f"{printable(text)}\n")


class Console:
    """Where a training stands: lines on a pipe; on a terminal one line that is written over."""

    def __init__(self) -> None:
        self._live = rank() == 0 and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._shown, self._next_update = False, 0.0

    def line(self, text: str, lasting: bool) -> None:
        """The numbers of a log line. lasting: on a terminal it stays, as an epoch's last."""
        if not self._live or lasting:
            self.say(text)
        else:
            self._show(text)

    def update(self, text: str) -> None:
        """Between log lines, on a terminal: at most every SECONDS_BETWEEN_UPDATES."""
        if self._live and time.monotonic() >= self._next_update:
            self._show(text)

    def say(self, text: str) -> None:
        """A line that stays, above the live one."""
        self.clear()
        say(text)

    def clear(self) -> None:
        """Make room for another's output."""
        if self._shown:
            _write(_CLEARED)
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """After an error the last line stays where it is: it says how far the run came."""
        if kind is None:
            self.clear()
        elif self._shown:
            _write("\n")

    def _show(self, text: str) -> None:
        width = min(WIDTH, shutil.get_terminal_size().columns - 1)  # one more would begin the next line
        _write(f"{_CLEARED}{printable(text)[:width]}")
        self._shown, self._next_update = True, time.monotonic() + SECONDS_BETWEEN_UPDATES


def line_due(step: int, number: int, steps_in_epoch: int, log_every: int) -> bool:
    """Whether a line follows `step` of the run, `number` of its epoch, both from 1: after 1, 2, 5, 10, 20 and so on
    below `log_every`, then after every `log_every`-th of an epoch and its last."""
    early = step < log_every and str(step).rstrip("0") in ("1", "2", "5")
    return early or number % log_every == 0 or number == steps_in_epoch


def progress_text(
    step: int, steps: int, loss: float | None, faces_per_second: float, seconds_left: float, epoch: int, epochs: int
) -> str:
    """Where a run stands, what matters first; loss None before the first is known."""
    where = f"step {step:,}/{steps:,}"
    if loss is None:
        return f"{where}, the first takes longest"
    pace = f"{faces_per_second:,.0f} faces/s, {duration_text(seconds_left)} left"
    return f"{where}, loss {loss:.4g}, {pace}, epoch {epoch}/{epochs}"


def folded(text: str) -> str:
    """A longer text on lines of the console's width."""
    return "\n".join(textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False))


def _write(text: str) -> None:
    if rank() != 0:
        return
    try:
        print(text, end="", flush=True)
    except OSError:
        _forget_stdout()


def _forget_stdout() -> None:
    """Later lines, and Python's own flush at the end, go to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file, or it is closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    finally:
        os.close(nowhere)
