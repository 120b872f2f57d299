"""Save and resume a run exactly.

A checkpoint holds tensors and plain numbers only, so it loads with `weights_only=True`. It is written beside its place
and renamed, so a kill leaves the one before it.
"""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common.errors import DataError, UserError
from common.files import replacing

_DAMAGE = (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, KeyError)


def save(folder: Path, step: int, state: dict[str, Any], keep: int, best: int | None = None) -> Path:
    """Write the state after `step` steps; of the others the last `keep` and that of step `best` stay.

    Checkpoints of later steps go too: the run went on from before them, because they were damaged or the number of
    ranks changed. Raises UserError when the disk is full.
    """
    path = folder / _name(step)
    try:
        with replacing(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as a RuntimeError
        raise UserError(
            f"{path}: the checkpoint cannot be written ({error}): make room and run the same command again, it goes on "
            "after the checkpoint before"
        ) from error
    found = _all(folder)
    before = found[: found.index(path) + 1]
    kept = {*before[-keep:], folder / _name(best)} if best is not None else set(before[-keep:])
    for old in found:
        if old not in kept:
            old.unlink()
    return path


def latest(folder: Path, tell: Callable[[str], None] = print) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole, None when there is none at all.

    tell: called with a line for every damaged one that is passed over. Raises DataError when all are damaged.
    """
    found = _all(folder)
    for path in reversed(found):
        try:
            return _read(path)
        except _DAMAGE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            tell(f"{path}: damaged checkpoint ({reason}): going on from the one before")
    if found:
        raise DataError(f"{folder}: all checkpoints are damaged: remove that folder to begin the run anew")
    return None


def _read(path: Path) -> dict[str, Any]:
    # torch does not compare the checksums that its own files carry.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _name(step: int) -> str:
    return f"step{step:09d}.pt"


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step*.pt"))
