"""A row of the GPU check runs in its own folder and process, and cannot take the check down with it."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.gpu.rows import Row
from benchmarks.gpu.runner import run_row


def row(name: str, minutes: float = 1) -> Row:
    return Row(name, minutes, f"tests.benchmarks.gpu.fake_rows:{name}", "")


def test_a_row_runs_in_its_own_folder_and_its_findings_come_back(tmp_path):
    outcome = run_row(row("finds"), tmp_path / "finds", "cpu")
    where, deviation, card = outcome.findings
    assert where.figure == where.bound == str(tmp_path / "finds")
    assert (deviation.verdict, deviation.figure, deviation.bound) == ("OK", "2.0e-06", "at most 1.0e-05")
    assert card.verdict == "needs a card"
    assert "the card: not tried" in outcome.output.read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crashes", "failed: ValueError: the head gave nan"),
        ("kills_itself", "was ended by SIGKILL"),
    ],
)
def test_a_row_that_ends_badly_is_bad_and_keeps_what_it_found_before(tmp_path, name, said):
    before, last = run_row(row(name), tmp_path, "cpu").findings
    assert before.verdict == "OK"
    assert (last.what, last.verdict, last.figure) == (name, "BAD", said)


def test_a_row_that_finds_nothing_is_bad_and_old_findings_are_not_taken_for_its_own(tmp_path):
    (tmp_path / "findings.jsonl").write_text('{"what": "old", "verdict": "OK"}\n')
    [finding] = run_row(row("finds_nothing"), tmp_path, "cpu").findings
    assert (finding.verdict, finding.figure) == ("BAD", "found nothing")


def test_a_row_that_hangs_is_ended_with_all_it_started(tmp_path):
    minutes = 0.1
    began = time.monotonic()
    outcome = run_row(row("hangs", minutes), tmp_path, "cpu")
    assert time.monotonic() - began < minutes * 60 + 10
    assert outcome.findings[-1].figure == "took longer than 0.1 minutes"
    assert outcome.findings[-1].verdict == "BAD"
    children = [int(line) for line in (tmp_path / "children").read_text().split()]
    assert len(children) == 2
    assert all(map(ended, children))


def ended(pid: int) -> bool:
    """Gone, or only waiting to be reaped; given a moment."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        if not Path(f"/proc/{pid}").exists():
            return True
        if os.path.exists(f"/proc/{pid}/stat") and ") Z" in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.05)
    return False
