"""Work that kills its process costs one task; a pool ends with its owner."""

import os
import signal
import time

import pytest

from common.errors import DataError, UserError
from photos.pool import Crashed, Pool


def work(task: str | int) -> int:
    match task:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "refused":
            raise DataError("the disk of this task")
        case "bug":
            raise IndexError("ours")
        case "pid":
            return os.getpid()
    return 2 * int(task)


def test_a_task_that_kills_its_worker_costs_no_other(monkeypatch):
    tasks = [*range(10), "segfault", *range(10, 20)]
    results = list(Pool(work, 2).run(tasks))
    assert len(results) == 21
    assert dict(results) == {**{task: 2 * task for task in range(20)}, "segfault": Crashed("SIGSEGV")}


def test_what_is_no_task_s_fault_ends_the_run_and_its_workers():
    for task, kind, said in (("killed", UserError, "is memory short"), ("refused", DataError, "disk of this")):
        with pytest.raises(kind, match=said):
            list(Pool(work, 1).run([1, task]))
    run = Pool(work, 1).run(["pid", "bug"])
    _, pid = next(run)
    with pytest.raises(IndexError, match="ours") as raised:
        next(run)
    assert "test_pool.py" in "".join(raised.value.__notes__)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_workers_end_when_nobody_wants_their_results_any_more():
    run = Pool(work, 1).run(["pid", *range(100)])
    _, pid = next(run)
    run.close()
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a worker is left")
