"""A command that fails in a group ends at once, whatever its interpreter would wait for."""

import multiprocessing
import os
import sys
import time
from pathlib import Path
from threading import Thread

import click
import pytest
import torch.distributed as dist

from common.cli import Commands
from common.errors import CacheError

SECONDS = 60


def fail(error: BaseException, folder: Path, worker: int) -> None:
    """In a process of its own: a thread and a worker that go on for long, a group, and a command that fails."""
    sys.stderr = open(folder / "said", "w")  # noqa: SIM115 - to the end of this process

    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    def go() -> None:
        dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=0, world_size=1)
        Thread(target=time.sleep, args=(SECONDS,)).start()
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(SECONDS,)).start()
        os.close(worker)
        raise error

    main(["go"])


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (CacheError("caches/x: cut: build it"), 2, "Error: caches/x: cut: build it"),
        (KeyError("ours"), 1, "KeyError: 'ours'"),
        (SystemExit(3), 3, ""),
    ],
)
def test_a_command_that_fails_in_a_group_waits_for_neither_threads_nor_workers(tmp_path, error, status, line):
    reading, writing = os.pipe()
    process = multiprocessing.get_context("fork").Process(target=fail, args=(error, tmp_path, writing))
    process.start()
    os.close(writing)
    process.join(SECONDS / 3)
    assert process.exitcode == status
    assert (tmp_path / "said").read_text().rstrip().endswith(line)
    began = time.monotonic()
    assert os.read(reading, 1) == b""  # the worker, which held the other end, is gone
    assert time.monotonic() - began < SECONDS / 3
    os.close(reading)
