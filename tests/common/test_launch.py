"""Several ranks fail as one program does: one line, by the rank that knows, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys, time
import click, torch
from common.cli import Commands, show_plan
from common.errors import CacheError
from common.plan import Plan
from common.runtime import barrier, process_group, rank

@click.group(cls=Commands)
def main():
    pass

@main.command()
def run():
    what = os.environ["WHAT"]
    if what == "plan":
        return show_plan(Plan("the plan", missing=["faces"]))
    if what == "all":
        raise CacheError("caches/x: no cache there: build it")
    with process_group(torch.device("cpu")):
        barrier()
        if rank() == 1:
            if what == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if what == "mistake":
                raise KeyError("ours")
            raise CacheError("caches/x: \\x1b[2Jdamaged\\nhere: build it")
        barrier()

main()
"""


def launch(tmp_path: Path, what: str) -> subprocess.CompletedProcess:
    (tmp_path / "ranks.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "common.launch", "--standalone", "--nproc_per_node=2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WHAT": what}
    return subprocess.run(
        [*launch, tmp_path / "ranks.py", "run"], env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT
    )


@pytest.mark.parametrize(
    ("what", "status", "line"),
    [
        ("all", 2, "Error: caches/x: no cache there: build it\n"),
        ("one", 2, "Error: caches/x: \\x1b[2Jdamaged\\x0ahere: build it\n"),
        pytest.param(
            "killed",
            137,
            "Error: rank 1 was ended by SIGKILL: is memory short? Run again, it goes on\n",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_rank_that_knows_prints_one_line_and_the_others_none(tmp_path, what, status, line):
    done = launch(tmp_path, what)
    assert (done.stdout, done.stderr, done.returncode) == ("", line, status)


@pytest.mark.slow
def test_a_mistake_of_ours_keeps_its_traceback_once(tmp_path):
    done = launch(tmp_path, "mistake")
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert done.stderr.rstrip().endswith("KeyError: 'ours'")
    assert done.returncode != 0


def test_a_plan_is_printed_once(tmp_path):
    done = launch(tmp_path, "plan")
    assert (done.stdout, done.stderr, done.returncode) == ("the plan\n  MISSING: faces\n", "", 2)
