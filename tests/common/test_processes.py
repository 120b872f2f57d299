"""Processes that share their work through the disk: one that fails stops no other, and what it said is said once."""

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
from pathlib import Path
import click
from common.cli import Commands
from common.errors import DataError

number, what = int(os.environ["RANK"]), os.environ["WHAT"]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children ignore it
assert os.environ["LOCAL_RANK"] == str(number) and os.environ["LOCAL_WORLD_SIZE"] == "2"

@click.group(cls=Commands, goes_on=("run",))
def main():
    pass

@main.command()
@click.argument("word")
def run(word):
    Path(f"begun{number}").touch()
    while not Path(f"begun{1 - number}").exists():
        time.sleep(0.01)
    if what == "stopped":
        time.sleep(60)
    if what == "alike":
        raise DataError("data/faces: gone")
    if what == "unlike":
        raise DataError(f"data/faces{number}: gone")
    if number == 1 and what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 1 and what == "one":
        sys.exit(7)
    if what != "well":
        time.sleep(0.3)  # the other has failed by now
    Path(f"done{number}").write_text(word)

main()
"""


KILLED = "Error: process 1 was ended by SIGKILL (is memory short?): 1 of them goes on with its work"


def started(folder: Path, what: str) -> subprocess.Popen[str]:
    (folder / "work.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, "-m", "common.processes", "2", "work.py", "run", "a word"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "WHAT": what},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("what", "status", "done", "lines"),
    [
        ("well", 0, ["done0", "done1"], []),
        ("one", 7, ["done0"], []),
        ("killed", 137, ["done0"], [KILLED]),
        ("alike", 2, [], ["Error: data/faces: gone"]),
        ("unlike", 2, [], ["Error: data/faces0: gone", "Error: data/faces1: gone"]),
    ],
)
def test_each_goes_on_without_the_others_and_the_first_failure_is_the_status(tmp_path, what, status, done, lines):
    process = started(tmp_path, what)
    printed, errors = process.communicate(timeout=60)
    assert sorted(path.name for path in tmp_path.glob("done*")) == done
    assert {path.read_text() for path in tmp_path.glob("done*")} <= {"a word"}
    assert (process.returncode, sorted(errors.splitlines()), printed) == (status, lines, "")


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the first alone", "by a terminal"])
@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGINT, 130, ["", "stopped: the same command goes on from here"]), (signal.SIGTERM, 143, [])],
)
def test_a_signal_ends_all_of_them_with_one_line(tmp_path, send, number, status, said):
    process = started(tmp_path, "stopped")
    until = time.monotonic() + 30
    while len(list(tmp_path.glob("begun*"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    send(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.splitlines()) == (status, said)


@pytest.mark.parametrize("arguments", [[], ["4"], ["0", "-m", "cache"], ["-m", "cache"], ["\u00b2", "-m", "cache"]])
def test_without_a_number_and_a_program_nothing_is_started(tmp_path, arguments):
    from common.processes import main

    assert main(arguments) == 2


@pytest.mark.parametrize("call", ["waitid", "waitpid", "wait"])
def test_a_signal_that_comes_as_a_process_ends_is_not_sent_to_one_that_is_gone(call):
    # The signal comes right after the system said that the only process has ended, or was taken away.
    script = f"""
import os, signal, sys
from common import processes
real, pid = os.{call}, os.getpid()
def interrupted(*arguments):
    answer = real(*arguments)
    os.kill(pid, signal.SIGTERM)
    return answer
os.{call} = interrupted
sys.exit(processes.main(["1", "-c", "raise SystemExit(7)"]))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (7, "")
