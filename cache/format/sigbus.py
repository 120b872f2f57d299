"""Name the shard that was cut while it was read.

Reading a mapped page behind the end of its file kills a process by SIGBUS without a word. A Python signal handler would
never run, since the instruction that failed is tried again first; so this is a C handler that calls Python. It may,
for the signal comes from a copy of ours, not from inside the interpreter.
"""

import ctypes
import ctypes.util
import os
import signal
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from cache.format.shards import MEND

_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
_libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_libc.signal.restype = ctypes.c_void_p
_before = ctypes.create_string_buffer(512)  # more than any system's struct sigaction


class Mapped(Protocol):
    """Something that has files mapped."""

    def files(self) -> Iterable[tuple[Path, int]]:
        """Each with the bytes that are mapped."""


_mapped: "weakref.WeakSet[Mapped]" = weakref.WeakSet()
_watching_process: int | None = None


def watch(mapped: Mapped) -> None:
    """End the process with a line and exit status 2 when one of these files is cut while it is read.

    Bus errors of any other cause go to whoever handled them before. To be called again in a forked process, whose
    handlers PyTorch replaces.
    """
    global _watching_process
    _mapped.add(mapped)
    if _watching_process != os.getpid():
        _watching_process = os.getpid()
        _libc.sigaction(signal.SIGBUS, None, _before)
        _libc.signal(signal.SIGBUS, _handler)


def _handle(number: int) -> None:
    for mapped in list(_mapped):
        for file, size in mapped.files():
            left = file.stat().st_size if file.exists() else size  # a removed file stays whole for who has it mapped
            if left < size:
                line = f"Error: {file}: cut to {left} of {size} bytes while it was read: {MEND}\n"
                os.write(2, os.fsencode(line))
                os._exit(2)
    _libc.sigaction(signal.SIGBUS, _before, None)


_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(_handle)  # kept here for as long as the signal may come
