"""A program on a leash of its starter."""

import os
import signal
import subprocess
import sys
import time

import pytest

from common.ranks.leash import leashed
from common.writers.workers import start_of

STARTER = """
import subprocess, sys, time
from common.ranks.leash import leashed
sleeper = "import time; print('here', flush=True); time.sleep(60)"
child = subprocess.Popen(leashed(["-c", sleeper]), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its starter is gone")
def test_a_program_ends_with_its_starter_even_by_kill_9():
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        said = {starter.stdout.readline().strip(), starter.stdout.readline().strip()}
        (pid,) = (int(word) for word in said - {"here"})
        assert start_of(pid)
        os.kill(starter.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while start_of(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_program_gets_its_arguments_and_gives_its_status():
    done = subprocess.run(leashed(["-c", "import sys; sys.exit(len(sys.argv))", "a b", ""]))
    assert done.returncode == 3


def test_nothing_is_started_for_a_starter_that_is_gone():
    command = leashed(["-c", "print('here')"])
    command[3] = "1" if os.getpid() != 1 else "2"
    assert subprocess.run(command, capture_output=True).stdout == b""
