"""A program in a process of its own, whose output goes to a log, and which does not outlive this one."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from common.ranks import leashed

SECONDS_TO_STOP = 20.0
_TAIL = 8192


class Child:
    """A running `python ARGUMENTS`; it is in a session of its own, so that a terminal's Ctrl-C reaches it once, from
    here."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log, self.began = log, time.monotonic()
        with open(log, "ab") as file:
            self._start = file.tell()
            self._process = subprocess.Popen(
                leashed(arguments),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **environment},
            )

    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def last_line(self) -> str:
        """What it said last."""
        lines = [line for line in self._tail().splitlines() if line.strip()]
        return lines[-1].strip() if lines else ""

    def why_it_ended(self) -> str:
        """Its error, in a line."""
        status = self._process.returncode
        if status < 0:
            number = signal.Signals(-status)
            return f"ended by {number.name}{' (is memory short?)' if number == signal.SIGKILL else ''}; see {self.log}"
        said = [line.strip() for line in self._tail().splitlines() if line.startswith("Error: ")]
        return said[-1].removeprefix("Error: ") if said else f"{self.last_line() or f'status {status}'}; see {self.log}"

    def interrupt(self) -> None:
        """Ctrl-C, to the program and whatever it has started."""
        self._signal(signal.SIGINT)

    def end(self) -> None:
        """Wait for an interrupted program, and end it where that takes too long."""
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _tail(self) -> str:
        with open(self.log, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._start, end - _TAIL))
            return file.read().decode(errors="replace")
