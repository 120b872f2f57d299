"""A loader worker that is gone, in words: torch and multiprocessing report it in several ways, and nowhere else so."""

import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.allocator import keep_freed_memory
from common.errors import UserError

# What the channel from a worker raises when its other end is gone.
_BROKEN_CHANNEL = (EOFError, ConnectionError, FileNotFoundError)
NOTICED_WITHIN = 2.0  # seconds until the system reports the end of a process whose channel broke


def is_worker_death(error: BaseException) -> bool:
    """Whether torch's signal handler raised this: it does so in whatever the main process is doing."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


@contextmanager
def worker_deaths_told() -> Iterator[None]:
    """A worker that is gone becomes a UserError."""
    try:
        yield
    except RuntimeError as error:
        if not is_worker_death(error):
            raise
        raise _told(str(error).splitlines()[0].rstrip(" .")) from error


@contextmanager
def ends_told(workers: set[multiprocessing.process.BaseProcess]) -> Iterator[None]:
    """While a batch is waited for: a worker's end becomes the same UserError, with what ended it.

    torch may have noticed only that it is gone, and of a broken channel click would make an abort.
    """
    try:
        yield
    except (RuntimeError, *_BROKEN_CHANNEL) as error:
        if isinstance(error, RuntimeError) and not is_worker_death(error):
            raise
        until = time.monotonic() + NOTICED_WITHIN
        while not (ended := [worker for worker in workers if worker.exitcode]) and time.monotonic() < until:
            time.sleep(0.02)
        if not ended:
            raise
        first = ended[0]
        raise _told(f"DataLoader worker (pid {first.pid}) ended with {_exit_text(first.exitcode or 0)}") from error


def prepare_worker(number: int) -> None:
    """In a worker: a bus error ends it without torch's guess at the cause (the cache's reader names the file where it
    knows it), and that the main process is gone is no news."""
    keep_freed_memory()  # a worker that is not forked has an allocator of its own
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    report = sys.excepthook
    sys.excepthook = lambda kind, *rest: None if issubclass(kind, ConnectionError) else report(kind, *rest)


def _exit_text(code: int) -> str:
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit status {code}"


def _told(reason: str) -> UserError:
    if "Bus error" in reason:  # a shard that was cut is named by the worker itself
        cause = "shared memory (/dev/shm) is full: enlarge it, or lower train.workers"
    elif reason.endswith("exit status 2"):
        cause = "for the reason in its own line above"
    else:
        cause = "as the system does when memory runs out (then lower train.workers)"
    return UserError(
        f"{reason.partition(' It is possible')[0].rstrip(' .')}: a worker that loads faces is gone, {cause}. "
        "Run the same command again: it goes on after the last checkpoint"
    )
