"""Progress at 80 columns: no line is said twice, none is longer, and numbers are whole."""

import io
import re

import pytest
from rich.console import Console

from common import progress as module
from common.progress import progress

LONG = "a-run-with-a-very-long-name (teacher) on agedb_30_with_a_long_name_of_its_own"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize(("slow", "lines"), [(1.0, 1), (16.0, 3), (7.6, 2)])
def test_in_a_log_every_line_says_something_new(clock, capsys, slow, lines):
    with progress("teacher", 30) as advance:
        for _ in range(3):
            clock.now += slow
            advance(10)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(set(said)) == lines
    assert said[-1].startswith("teacher: 30 of 30 faces, ")


def test_nothing_is_said_of_no_work_and_a_rate_is_of_what_was_done_here(clock, capsys):
    with progress("teacher", 30, done=30):
        pass
    assert capsys.readouterr().err == ""
    with progress("teacher", 30, done=20) as advance:
        clock.now += 5
        advance(5)
    assert capsys.readouterr().err == "teacher: 25 of 30 faces, 1 faces/s, 5 s left\n"


def test_lines_of_large_sets_and_long_names_stay_under_80_columns(clock, capsys):
    with progress(LONG, 11_645_306, done=5_000_000) as advance:
        clock.now += 20
        advance(1_000_000)
    [line] = capsys.readouterr().err.splitlines()
    assert len(line) < 80
    assert line.endswith("...: 6,000,000 of 11,645,306 faces, 50,000 faces/s, 113 s left")


@pytest.mark.parametrize("what", ["teacher", LONG])
def test_a_terminal_of_80_columns_has_one_line_with_all_numbers(monkeypatch, what):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    terminal = Console(file=screen, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(module, "Console", lambda stderr: terminal)
    with progress(what, 11_645_306, done=6_000_000) as advance:
        advance(10)
    shown = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in re.split(r"[\r\n]", screen.getvalue())]
    last = [line for line in shown if line.strip()][-1]
    assert len(last) <= 80
    assert re.search(r": 6,000,010 of 11,645,306, [\d,]+ faces/s .*(--:--|\d:\d\d)", last)
    assert "\x1b[2A" not in screen.getvalue()  # the cursor never goes up a second line


def test_nothing_in_a_name_reaches_the_terminal_as_an_order(clock, capsys):
    with progress("a\x1b[2Jb", 30) as advance:
        clock.now += 5
        advance(30)
    assert "\x1b" not in capsys.readouterr().err
