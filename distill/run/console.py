"""What the first rank says while a run goes on."""

import os
import sys

from common.runtime import rank
from common.text import printable

SHOWN = ("loss", "lr", "alpha", "lam", "cos_st", "margin_scaler", "geometry", "norm", "gradient_norm")


def say(text: str) -> None:
    """A line from the first rank. Where nobody listens any more (`| head -1`, a closed terminal) the run goes on."""
    if rank() != 0:
        return
    try:
        print(printable(text), flush=True)
    except OSError:
        _forget_stdout()


def _forget_stdout() -> None:
    """Later lines, and Python's own flush at the end, go to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file, or it is closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    finally:
        os.close(nowhere)


def numbers_text(numbers: dict[str, float]) -> str:
    """A window's numbers in one line."""
    text = " ".join(f"{name} {numbers[name]:.4g}" for name in SHOWN if name in numbers)
    return f"{text} | {numbers['faces_per_second']:,.0f} faces/s, wait {numbers['data_wait']:.0%}"
