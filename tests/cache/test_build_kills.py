"""kill -9 at random moments of a build by two processes, again and again: the same command ends in the same bytes."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.verify import check_store
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree

PROCESSES = 2
LOADED = ["cache.build", "common.faces", "tests.cache.test_build_kills"]


class SlowTeacher(TinyTeacher):
    """Gives a kill time to arrive in the middle, also on a busy machine."""

    def embed(self, faces: np.ndarray) -> np.ndarray:
        time.sleep(0.03)
        return super().embed(faces)


def build_slowly(folder: str) -> None:
    os.chdir(folder)
    build(experiment(), open_source("data/faces"), SlowTeacher(), threads=1, quiet=True)


def start(folder: Path) -> list[BaseProcess]:
    """Two on the way, which know nothing of each other; forked from one that has imported everything already."""
    context = get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    processes: list[BaseProcess] = [context.Process(target=build_slowly, args=(str(folder),)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    return processes


def wait_for_work() -> float:
    """When the first of them began to write: what a process does before, starting and importing, needs no proof."""
    while not Path("caches").exists():
        time.sleep(0.001)
    return time.perf_counter()


def kill(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.kill()  # one that has ended in the meantime is none the worse for it
    for process in processes:
        process.join()


def finish(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def kill_and_go_on(world: Path, rounds: int) -> int:
    """Whether every round ended in the undisturbed bytes; returns how many kills found a half-built store."""
    whole = tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    shutil.rmtree("caches")
    processes = start(world)
    began = wait_for_work()
    finish(processes)
    duration = time.perf_counter() - began
    assert tree(Path("caches/tiny")) == whole
    moments, halves = random.Random(1), 0
    for number in range(1, rounds + 1):
        shutil.rmtree("caches")
        processes = start(world)
        wait_for_work()
        time.sleep(moments.uniform(0, duration))
        kill(processes)
        halves += Path("caches/tiny").exists() and bool(check_store(Path("caches/tiny")))
        finish(start(world))
        assert tree(Path("caches/tiny")) == whole, f"round {number}"
    return halves


def test_a_killed_build_goes_on_to_the_same_bytes(world):
    kill_and_go_on(world, rounds=2)


@pytest.mark.slow
def test_fifty_killed_builds_go_on_to_the_same_bytes(world):
    assert kill_and_go_on(world, rounds=50) >= 10  # or the kills came too late to prove anything


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_build_by_name_and_the_next_one_finishes(world):
    """Under torchrun, as users run it."""
    whole = tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    shutil.rmtree("caches")
    script = world / "ranks.py"
    script.write_text(
        "import os, signal, sys, time\n"
        "from cache.build import build\n"
        "from common.faces import open_source\n"
        "from tests.tiny import TinyTeacher, experiment\n"
        "class Dying(TinyTeacher):\n"
        "    def embed(self, faces):\n"
        "        if 'die' in sys.argv and os.environ['RANK'] == '1' and self.calls == 4:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        if 'die' in sys.argv and os.environ['RANK'] == '0' and self.calls == 1:\n"
        "            time.sleep(60)  # until torchrun ends it\n"
        "        return super().embed(faces)\n"
        "build(experiment(), open_source('data/faces'), Dying(), threads=1, quiet=True)\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = str(Path(__file__).parents[2])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}", script]
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    died = subprocess.run([*torchrun, "die"], env=environment, capture_output=True, text=True, timeout=120)
    assert died.returncode != 0
    assert "SIGKILL" in died.stderr
    assert "rank" in died.stderr
    assert check_store(Path("caches/tiny"))
    subprocess.run(torchrun, env=environment, check=True, timeout=120)
    assert tree(Path("caches/tiny")) == whole
