"""One progress line for long work: a live line with faces/s and time left on a terminal, plain lines in a log.

Both stay under 80 columns, and the numbers are whole: it is the name of the work that is shortened.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from common.text import printable

SECONDS_BETWEEN_LINES = 15.0
COLUMNS = 79


@contextmanager
def progress(
    what: str, total: int, done: int = 0, unit: str = "faces", quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Give a function `advance(n)`; rates count only what was done here, not the `done` before.

    quiet: no output at all, for ranks other than the first.
    """
    what = printable(what)
    if quiet:
        yield lambda n: None
    elif sys.stderr.isatty():
        with _bar(Console(stderr=True)) as bar:
            task = bar.add_task("", total=total, completed=done, text=_text(what, done, total, "", COLUMNS - 18))
            began, made = time.perf_counter(), 0

            def advance(n: int) -> None:
                nonlocal made
                made += n
                rate = f", {made / max(time.perf_counter() - began, 1e-9):,.0f} {unit}/s"
                bar.update(task, advance=n, text=_text(what, done + made, total, rate, COLUMNS - 18))

            yield advance
    else:
        yield from _lines(what, total, done, unit)


def _text(what: str, done: int, total: int, rest: str, columns: int) -> str:
    """`what: 3 of 7, rest` in so many columns."""
    numbers = f": {done:,} of {total:,}{rest}"
    room = columns - len(numbers)
    return (what if len(what) <= room else f"{what[: max(room - 3, 0)]}...") + numbers


def _bar(console: Console) -> Progress:
    """What and how much, 8 columns of bar, and the time left: 18 columns besides the text."""
    return Progress(
        TextColumn("{task.fields[text]}", markup=False),
        BarColumn(8),
        TimeRemainingColumn(compact=True),
        console=console,
    )


def _lines(what: str, total: int, done: int, unit: str) -> Iterator[Callable[[int], None]]:
    began = said_at = time.perf_counter()
    made = said = 0

    def line(now: float) -> None:
        nonlocal said, said_at
        said, said_at = made, now
        rate = made / max(now - began, 1e-9)
        left = (total - done - made) / rate if rate else float("inf")
        rest = f" {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left"
        print(_text(what, done + made, total, rest, COLUMNS), file=sys.stderr, flush=True)

    def advance(n: int) -> None:
        nonlocal made
        made += n
        now = time.perf_counter()
        if now - said_at >= SECONDS_BETWEEN_LINES:
            line(now)

    yield advance
    if made > said:
        line(time.perf_counter())
