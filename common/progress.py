"""One progress line for long work: a bar with faces/s and ETA on a terminal, a plain line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from common.text import printable

SECONDS_BETWEEN_LINES = 15.0


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
        with _bar(unit) as bar:
            task = bar.add_task(what, total=total, completed=done, rate="")
            began, made = time.perf_counter(), 0

            def advance(n: int) -> None:
                nonlocal made
                made += n
                rate = made / max(time.perf_counter() - began, 1e-9)
                bar.update(task, advance=n, rate=f"{rate:,.0f} {unit}/s")

            yield advance
    else:
        yield from _lines(what, total, done, unit)


def _bar(unit: str) -> Progress:
    from rich.console import Console

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _lines(what: str, total: int, done: int, unit: str) -> Iterator[Callable[[int], None]]:
    began = said = time.perf_counter()
    made = 0

    def line(now: float) -> None:
        rate = made / max(now - began, 1e-9)
        left = (total - done - made) / rate if rate else float("inf")
        text = f"{what}: {done + made:,} of {total:,} {unit}, {rate:,.0f} {unit}/s, {left:,.0f} s left"
        print(text, file=sys.stderr, flush=True)

    def advance(n: int) -> None:
        nonlocal made, said
        made += n
        now = time.perf_counter()
        if now - said >= SECONDS_BETWEEN_LINES:
            said = now
            line(now)

    yield advance
    if made:
        line(time.perf_counter())
