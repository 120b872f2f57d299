"""Several ranks fail as one program does: one line, by the rank that knows, and its exit status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys, time
import click
from common.cli import Commands, show_plan
from common.errors import CacheError
from common.plan import Plan

@click.group(cls=Commands)
def main():
    pass

@main.command()
def run():
    what = os.environ["WHAT"]
    if what == "plan":
        return show_plan(Plan("the plan", missing=["faces"]))
    if what == "stubborn" and os.environ["RANK"] == "0":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(100)
    if what in ("all", "stubborn"):
        raise CacheError("caches/x: no cache there: build it")
    import torch
    from common.runtime import barrier, process_group, rank
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
        pytest.param("stubborn", 2, "Error: caches/x: no cache there: build it\n", marks=pytest.mark.slow),
        pytest.param(
            "killed",
            137,
            "Error: rank 1 was ended by SIGKILL: is memory short? Run again, it goes on\n",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_rank_that_knows_prints_one_line_and_the_others_none(tmp_path, what, status, line):
    began = time.monotonic()
    done = launch(tmp_path, what)
    assert (done.stdout, done.stderr, done.returncode) == ("", line, status)
    assert time.monotonic() - began < 60  # torch is imported up to three times


@pytest.mark.slow
def test_a_mistake_of_ours_keeps_its_traceback_once(tmp_path):
    done = launch(tmp_path, "mistake")
    assert done.stderr.count("Traceback (most recent call last)") == 1
    assert done.stderr.rstrip().endswith("KeyError: 'ours'")
    assert done.returncode != 0


def test_a_plan_is_printed_once(tmp_path):
    done = launch(tmp_path, "plan")
    assert (done.stdout, done.stderr, done.returncode) == ("the plan\n  MISSING: faces\n", "", 2)


WAITING = """
import os, time
from pathlib import Path
import click
from common.cli import Commands

@click.group(cls=Commands, goes_on=("run",))
def main():
    pass

@main.command()
def run():
    Path("up" + os.environ["RANK"]).touch()
    time.sleep(60)

main()
"""


def _as_from_a_terminal() -> None:
    """What runs in the background of a shell ignores Ctrl-C, and its children do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


LAUNCH, PROCESSES = ("common.launch", "--standalone", "--nproc_per_node=2"), ("common.processes", "2")


@pytest.mark.parametrize(
    ("launcher", "number", "status", "line"),
    [
        (LAUNCH, signal.SIGINT, 130, "\nstopped: the same command goes on from here\n"),
        (PROCESSES, signal.SIGINT, 130, "\nstopped: the same command goes on from here\n"),
        (PROCESSES, signal.SIGTERM, 143, ""),
    ],
)
def test_what_is_stopped_says_so_once_and_blames_nothing(tmp_path, launcher, number, status, line):
    (tmp_path / "ranks.py").write_text(WAITING)
    started = subprocess.Popen(
        [sys.executable, "-m", *launcher, "ranks.py", "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=_as_from_a_terminal,
    )
    until = time.monotonic() + 60
    while not all((tmp_path / f"up{rank}").exists() for rank in range(2)):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(started.pid, number)
    assert (started.communicate(timeout=60)[1], started.returncode) == (line, status)
