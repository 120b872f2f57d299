"""Standard output and error whose reader may go away: `python -m distill train | head -1` trains on.

Nothing that a command is run for is on its standard output; so a reader that has seen enough ends no work.
"""

import io
import sys
from typing import Any, TextIO

import click

from common.text import printable


def say(text: object = "") -> None:
    """Print text from outside, line by line, with nothing in it that a terminal would obey."""
    click.echo("\n".join(printable(line) for line in str(text).split("\n")))


def outlive_readers() -> None:
    """From now on what is printed is dropped once nobody reads it; streams that a caller has put there stay."""
    sys.stdout = _outliving(sys.stdout, sys.__stdout__, "standard output")
    sys.stderr = _outliving(sys.stderr, sys.__stderr__, "standard error")


def _outliving(stream: TextIO, original: TextIO | None, name: str) -> TextIO:
    if stream is not original or not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    pipe = _Pipe(stream.fileno(), name)
    return io.TextIOWrapper(
        pipe if stream.write_through else io.BufferedWriter(pipe),  # as Python's own: `python -u` buffers nothing
        stream.encoding,
        "backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Pipe(io.FileIO):
    """A descriptor that takes everything: what cannot be written is dropped. Only a reader that left is no error."""

    def __init__(self, descriptor: int, what: str) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._what, self._failed = what, False

    def write(self, data: Any) -> int:
        # click asks what a stream is by writing nothing to it, which a full device refuses as well.
        if memoryview(data).nbytes and not self._failed:
            try:
                return super().write(data) or 0
            except BrokenPipeError:
                self._failed = True
            except OSError as error:
                self._failed = True
                error.filename = self._what
                raise
        return memoryview(data).nbytes
