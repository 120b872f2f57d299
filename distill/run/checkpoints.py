"""Save and resume a run exactly.

A checkpoint holds tensors and plain numbers only, so it loads with `weights_only=True`. It is written beside its place
and renamed, so a kill leaves the one before it. `stepN.pt` are the sequence a run goes on from; `best.pt` is no part of
it, for steps are numbered anew when the global batch changes.
"""

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from common.errors import DataError, UserError
from common.files import replacing, sync
from distill.run.state_file import write_state

BEST = "best.pt"
_NAME = re.compile(r"step(\d{9})\.pt")


def save(folder: Path, step: int, state: dict[str, Any], keep: int, best: bool = False) -> Path:
    """Write the state after `step` steps; of the others the last `keep` stay. best: it is the best so far, too.

    Checkpoints of later steps go: the run went on from before them, because they were damaged or the global batch
    changed. Raises UserError when it cannot be written, on a full disk say. The first rank's; the others call
    `write_state` meanwhile.
    """
    path = folder / f"step{step:09d}.pt"
    with written_or_told(path), replacing(path) as temporary:
        write_state(state, temporary)
        if best:
            # First the best: killed between the two, the run takes the steps to it again and comes to the same.
            sync(temporary)
            _put_also(temporary, folder / BEST)
    found = [each for each in _all(folder) if each.is_file()]
    kept = found[: found.index(path) + 1][-keep:]
    with written_or_told(path):
        for old in found:
            if old not in kept:
                old.unlink()
    return path


def latest(
    folder: Path, check: Callable[[Any], None] = lambda state: None, tell: Callable[[str], None] = print
) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole, None when there is none at all.

    check: raises for a state that is none. tell: called with a line for every damaged one that is passed over. Raises
    DataError when all are damaged, or one cannot be read.
    """
    found = _all(folder)
    for path in reversed(found):
        if not path.is_file():
            tell(f"{path}: not a regular file: going on from the one before")
            continue
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed below; only its own errors are the disk's
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}): see to it, or remove it") from error
        with file:
            try:
                # torch does not compare the checksums that its own files carry.
                with zipfile.ZipFile(file) as archive:
                    damaged = archive.testzip()
                if damaged is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
                file.seek(0)
                state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
                check(state)
                return state
            except MemoryError:
                raise DataError(f"{path}: needs more memory than there is: make room, or remove it") from None
            except Exception as error:  # damaged bytes can raise nearly anything
                tell(f"{path}: damaged checkpoint ({first_line(error)}): going on from the one before")
    if found:
        raise DataError(f"{folder}: all checkpoints are damaged: remove that folder to begin the run anew")
    return None


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(" :.") if text else type(error).__name__


@contextmanager
def written_or_told(path: Path) -> Iterator[None]:
    """Errors of writing a state or a student become one line; torch's writer reports a full disk as a RuntimeError."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{path}: cannot be written ({first_line(error)}): make room and run the same command again, it goes on "
            "after the checkpoint before"
        ) from error


def _put_also(whole: Path, place: Path) -> None:
    with replacing(place) as temporary:
        try:
            os.link(whole, temporary)
        except OSError:  # a file system without links
            shutil.copyfile(whole, temporary)


def _all(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step*.pt") if _NAME.fullmatch(path.name))
