"""Rows that the runner's tests run in processes of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.finding import Finding, at_most, needs_card


def finds(place):
    """What it sees of its surroundings."""
    yield Finding("folder", "OK", os.getcwd(), str(place.folder))
    yield at_most("deviation", 2e-6, 1e-5)
    yield needs_card("the card")


def crashes(place):
    yield at_most("before", 0.0, 1.0)
    raise ValueError("the head gave nan")


def hangs(place):
    """With a child in a session of its own, as a launcher's rank is, and that one's child."""
    yield at_most("before", 0.0, 1.0)
    sleeper = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); import time; time.sleep(60)"
    with Path("children").open("w") as file:
        child = subprocess.Popen([sys.executable, "-c", sleeper], stdout=file, start_new_session=True)
        file.write(f"{child.pid}\n")
    time.sleep(60)


def kills_itself(place):
    yield at_most("before", 0.0, 1.0)
    os.kill(os.getpid(), 9)


def finds_nothing(place):
    return iter(())
