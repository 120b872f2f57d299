"""Work done by several processes that may die of it: a picture that crashes its decoder costs that picture.

Results come as they are made, in no order. The workers end with the process that started them, however it ends.
"""

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, NamedTuple, TypeVar

from common.errors import UserError

Task = TypeVar("Task")
Result = TypeVar("Result")
_CHUNK = 8  # tasks sent at once


class Crashed(NamedTuple):
    """What killed the worker of a task: a signal's name."""

    by: str


class _Worker(NamedTuple):
    process: BaseProcess
    connection: Connection


class Pool(Generic[Task, Result]):
    """`work` must be picklable; it is called in the workers, one task at a time."""

    def __init__(self, work: Callable[[Task], Result], workers: int) -> None:
        self._work, self._count = work, workers
        self._spawn = multiprocessing.get_context("spawn")
        self._busy: dict[Connection, tuple[_Worker, deque[Task]]] = {}
        self._idle: list[_Worker] = []

    def run(self, tasks: Iterable[Task]) -> Generator[tuple[Task, Result | Crashed], None, None]:
        """Each task with its result, or with what killed its worker.

        Raises UserError for a worker that was ended by somebody, or by the kernel for its memory, and whatever `work`
        raises.
        """
        waiting = iter(tasks)
        try:
            self._idle = [self._start() for _ in range(self._count)]
            while True:
                while self._idle and (chunk := list(islice(waiting, _CHUNK))):
                    worker = self._idle.pop()
                    self._busy[worker.connection] = worker, deque(chunk)
                    worker.connection.send(chunk)
                if not self._busy:
                    return
                for ready in wait(list(self._busy)):
                    assert isinstance(ready, Connection)
                    task, result, unfinished = self._receive(ready)
                    waiting = chain(unfinished, waiting)
                    yield task, result
        finally:
            for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
                worker.connection.close()
                worker.process.kill()
                worker.process.join()
            self._busy.clear()

    def _receive(self, ready: Connection) -> tuple[Task, Result | Crashed, Iterable[Task]]:
        """A task and its result; of a worker that died of it also what it has not come to."""
        worker, left = self._busy[ready]
        task = left.popleft()  # a worker sends its results in the order of its tasks
        try:
            result = ready.recv()
        except (EOFError, OSError):
            del self._busy[ready]
            worker.process.join()
            self._idle.append(self._start())
            return task, Crashed(_what_killed(worker.process)), left
        if isinstance(result, BaseException):
            raise result
        if not left:
            del self._busy[ready]
            self._idle.append(worker)
        return task, result, ()

    def _start(self) -> _Worker:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_serve, args=(self._work, theirs), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)


def _serve(work: Callable[[Task], Result], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process ends the others
    try:
        while True:
            for task in connection.recv():
                connection.send(_result(work, task))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody waits any more
        return


def _result(work: Callable[[Task], Result], task: Task) -> Result | Exception:
    try:
        return work(task)
    except Exception as error:
        if not isinstance(error, UserError | OSError):
            error.add_note(traceback.format_exc())
        return error


def _what_killed(process: BaseProcess) -> str:
    code = process.exitcode or 0
    by = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    if by in ("SIGKILL", "SIGTERM"):
        raise UserError(f"a worker was ended by {by} (is memory short?): run again, perhaps with fewer --workers")
    return by
