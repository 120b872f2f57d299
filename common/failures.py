"""How a command ends when something fails: which errors are the user's to mend, and which rank says so.

The system's errors (a full disk, no permission, no memory) become one line with path and remedy, as `UserError`s are.
What is neither is our own mistake, and keeps its traceback.
"""

import errno
import hashlib
import os
import signal
import time
from pathlib import Path

from common.errors import RankGone, UserError

SAID = "SAID_BY_PROCESSES"  # a folder in which the processes of common/processes.py note what they have said

INTERRUPTED = 128 + signal.SIGINT  # the exit status after Ctrl-C

_ROOM = "make room on that disk and run again: what is finished stays"
_MEMORY = "close other programs, or ask for smaller batches and fewer workers"
_ELSEWHERE = "move it away, or choose another place"
_RIGHTS = "get this user the right to it, or choose another place"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise `ulimit -f`, or choose a file system that takes files of that size",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "choose a place that can be written",
    errno.EMFILE: "raise `ulimit -n`, or ask for fewer workers",
    errno.ENFILE: "close other programs, or ask for fewer workers",
    errno.ENOMEM: _MEMORY,
    errno.ENOENT: "put it there, or name another place",
    errno.EEXIST: f"something else stands there: {_ELSEWHERE}",
    errno.ENOTEMPTY: f"something else stands there: {_ELSEWHERE}",
    errno.EISDIR: f"a folder is in the way: {_ELSEWHERE}",
    errno.ENOTDIR: f"a file is in the way of a folder: {_ELSEWHERE}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead in a circle: remove them",
    errno.EIO: "that disk fails: copy away what is whole, and look at the system's log",
    errno.ENXIO: "not a regular file: name another one",
}
# What torch says of memory and of ranks that are gone, in errors that are no class of their own.
_NO_MEMORY = ("DefaultCPUAllocator", "std::bad_alloc", "CUDA out of memory")
_RANK_GONE = ("Connection closed by peer", "Connection reset by peer", "gloo/transport", "NCCL", "TCPStore")
_SECONDS_FOR_THE_OTHERS = 2.0


def line_of(error: Exception) -> str | None:
    """The error as a line for the person at the keyboard, None for a mistake of ours."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MemoryError) or _is_of_torch(error, "OutOfMemoryError") or _says(error, _NO_MEMORY):
        return f"out of memory ({_first_line(error)}): {_MEMORY}"
    if isinstance(error, OSError):
        named = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        what = error.strerror or _first_line(error)
        return ": ".join([*named, what, _REMEDIES.get(error.errno or 0, "put that right and run again")])
    if lost_a_rank(error):
        return f"another rank is gone ({_first_line(error)}): look for its message, then run again"
    return None


def lost_a_rank(error: Exception) -> bool:
    """Whether it failed only because another rank had."""
    return isinstance(error, RankGone) or _is_of_torch(error, "DistError") or _says(error, _RANK_GONE)


def first_to_fail(error: Exception) -> bool:
    """Whether this rank is to speak: the first of this machine's ranks that fails. Always, for a single process.

    A rank that only lost another one gives that one time to speak. Processes that are no ranks (common/processes.py)
    fail for reasons of their own: each speaks that has something new to say.
    """
    if folder := os.environ.get(SAID):
        return _is_first(Path(folder) / hashlib.sha256(f"{error}".encode(errors="replace")).hexdigest())
    if os.environ.get("WORLD_SIZE", "1") == "1" or not os.environ.get("TORCHELASTIC_ERROR_FILE"):
        return True
    # Elastic launchers give each rank ATTEMPT/RANK/error.json: the attempt's folder is what the ranks share.
    said = Path(os.environ["TORCHELASTIC_ERROR_FILE"]).parent.parent / "said"
    until = time.monotonic() + _SECONDS_FOR_THE_OTHERS
    while lost_a_rank(error) and not said.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return _is_first(said)


def _is_first(said: Path) -> bool:
    """Whether nobody has made the file yet; it is made. True where none can be made, too."""
    try:
        os.close(os.open(said, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _is_of_torch(error: Exception, name: str) -> bool:
    """Whether it is one of torch's errors, told by name: commands that fail before they compute do without torch."""
    return any(kind.__name__ == name and kind.__module__.startswith("torch") for kind in type(error).__mro__)


def _says(error: Exception, signs: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
