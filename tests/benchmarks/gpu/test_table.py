"""What the GPU check says in the end: verdicts, summary, table, exit status."""

import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.gpu import __main__ as program
from benchmarks.gpu.finding import at_least, at_most, holds, measured, needs_card, summary
from benchmarks.gpu.rows import ROWS, Row
from benchmarks.gpu.runner import Outcome
from benchmarks.gpu.table import file_name, table

DAY = datetime.date(2026, 11, 24)
NAN = float("nan")


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (at_most("x", 1.0, 1.0), "OK"),
        (at_most("x", 1.1, 1.0), "BAD"),
        (at_most("x", NAN, 1.0), "BAD"),
        (at_least("x", 1.0, 1.0), "OK"),
        (at_least("x", 0.9, 1.0), "BAD"),
        (at_least("x", NAN, 1.0), "BAD"),
        (measured("x", 3.0, "{:.0f}"), "OK"),
        (measured("x", NAN, "{:.0f}"), "BAD"),
        (holds("x", False, "3", "4"), "BAD"),
        (needs_card("x"), "needs a card"),
    ],
)
def test_a_value_up_to_its_bound_is_ok_and_what_is_no_number_never(finding, verdict):
    assert finding.verdict == verdict


def test_the_summary_names_what_is_bad_only_where_something_is():
    found = [at_most("a", 0, 1), at_most("b", 0, 1), needs_card("c")]
    assert summary(found) == "2 OK, 1 need a card"
    assert summary([*found, at_most("d", 2, 1)]) == "1 BAD, 2 OK, 1 need a card"


def test_the_table_has_a_line_a_finding_and_its_cells_hold():
    row = Row("heads", 3, "heads:parity", "")
    found = [at_most("arcface | float32", 2e-7, 1e-5), holds("two\nlines", False, "3", "4")]
    page = table({"card": "NVIDIA H100", "driver": "580.1"}, DAY, [Outcome(row, found, 12.4, Path("output.txt"))])
    assert page.startswith("# GPU check: NVIDIA H100, 2026-11-24\n")
    assert "| driver | 580.1 |\n" in page
    assert "| heads | arcface \\| float32 | 2.0e-07 | at most 1.0e-05 | OK |\n" in page
    assert "| heads | two lines | 3 | 4 | BAD |\n" in page
    assert "1 BAD, 1 OK, 0 need a card" in page
    assert "heads 12; 0.2 minutes" in page


def test_the_file_is_named_by_card_and_day():
    assert file_name({"card": "1 x NVIDIA H100 80GB HBM3"}, DAY) == "gpu-NVIDIA-H100-80GB-HBM3-2026-11-24.md"
    assert file_name({"card": "4 x RTX 4090"}, DAY) == "gpu-4-x-RTX-4090-2026-11-24.md"
    assert file_name({"card": "none"}, DAY) == "gpu-no-card-2026-11-24.md"


@pytest.mark.parametrize(
    ("finding", "status"), [(at_most("a", 0, 1), 0), (needs_card("a"), 0), (at_most("a", 2, 1), 1)]
)
def test_the_exit_status_is_1_where_a_row_is_bad(tmp_path, monkeypatch, finding, status):
    ran = []

    def run_row(row, folder, device):
        ran.append((row.name, folder, device))
        return Outcome(row, [finding], 1.0, folder / "output.txt")

    monkeypatch.setattr(program, "run_row", run_row)
    done = CliRunner().invoke(program.main, ["--rows", "stops heads", "--device", "cpu", "--out", str(tmp_path)])
    assert done.exit_code == status
    assert ran == [("heads", tmp_path / "heads", "cpu"), ("stops", tmp_path / "stops", "cpu")]
    [page] = tmp_path.glob("gpu-*.md")
    assert str(page) in done.output
    assert page.read_text().count("| heads | a |") == 1


def test_an_unknown_row_is_refused_with_the_names_there_are(tmp_path):
    done = CliRunner().invoke(program.main, ["--rows", "haeds"])
    assert done.exit_code == 2
    assert "haeds: the rows are environment, heads" in done.output


def test_every_row_is_listed_with_its_bound_and_all_of_them_together():
    done = CliRunner().invoke(program.main, ["--list"])
    assert [line.split()[0] for line in done.output.splitlines()[:-1]] == [row.name for row in ROWS]
    assert f"{sum(row.minutes for row in ROWS):g} min" in done.output.splitlines()[-1]
