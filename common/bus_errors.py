"""A file that gets shorter while it is mapped, in words instead of a silent death by SIGBUS."""

import ctypes
import os
import signal
from collections.abc import Callable

_libc = ctypes.CDLL(None)
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
_libc.signal.restype = ctypes.c_void_p
_libc.signal.argtypes = [ctypes.c_int, _HANDLER]
_MESSAGE = (
    b"Error: a file that this process had mapped got shorter (SIGBUS): train.rec, or a shard of a teacher cache. "
    b"Restore it (`python -m cache verify` finds shards), and run the same command again: it goes on\n"
)


def _end(number: int) -> None:
    os.write(2, _MESSAGE)
    os._exit(2)


_end_in_c: Callable = _HANDLER(_end)  # kept alive: C calls it


def bus_errors_named() -> None:
    """From now on, one line and exit status 2 where a read of mapped memory finds no file behind it.

    Set in C, for Python runs its own handlers only after the instruction, which never ends. The reader is a Python
    thread, so calling back is safe. Loader workers of torch have a handler of their own.
    """
    _libc.signal(signal.SIGBUS, _end_in_c)
