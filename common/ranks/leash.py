"""Run a Python program that ends with the process that started it, even when that is killed -9.

    subprocess.Popen(leashed(["-m", "distill", "train", "--config", "configs/lfw.toml"]))

On Linux the kernel sends SIGTERM when the starter's thread ends; elsewhere this only starts the program.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h; exec keeps it


def leashed(arguments: Sequence[str]) -> list[str]:
    """The command that runs `python ARGUMENTS` on a leash of this process."""
    run = "import sys; from common.ranks.leash import main; main(sys.argv[1:])"  # -m would warn: its door imports it
    return [sys.executable, "-c", run, str(os.getpid()), *arguments]


def main(arguments: list[str]) -> None:
    """Become `python ARGUMENTS[1:]`, unless the process ARGUMENTS[0] is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() == int(arguments[0]):  # it may have died before the call above
        os.execv(sys.executable, [sys.executable, *arguments[1:]])
