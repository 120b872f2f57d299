"""Kill a process, as far as one process can, before its n-th call that changes a folder."""

import os
from collections.abc import Callable

import pytest

CHANGING = ("mkdir", "replace", "rename", "rmdir", "unlink")


class Killed(BaseException):
    """What stands for SIGKILL: no handler of the program catches it, and nothing it does afterwards has any effect."""


def killed_before(call: int, command: Callable[[], object]) -> bool:
    """Run a command that dies before its call number `call`, counted from 0; whether it came so far."""
    left = call

    def dying(original: Callable) -> Callable:
        def change(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return original(*args, **kwargs)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGING:
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            command()
        except Killed:
            return True
    assert left >= 0, "a kill was swallowed"
    return False
