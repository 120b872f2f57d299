"""Save and resume a run exactly.

A checkpoint holds tensors and plain numbers only, so it loads with `weights_only=True`. It is written beside its place
and renamed, so a kill leaves the one before it.
"""

import pickle
from pathlib import Path
from typing import Any

import torch

from common.errors import DataError
from common.files import replacing


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the state after `step` steps and drop all but the last `keep` checkpoints."""
    path = folder / f"step{step:09d}.pt"
    with replacing(path) as temporary:
        torch.save(state, temporary)
    for old in _all(folder)[:-keep]:
        old.unlink()
    return path


def latest(folder: Path) -> dict[str, Any] | None:
    """The state of the newest checkpoint, None when there is none. Raises DataError for a damaged one."""
    found = _all(folder)
    if not found:
        return None
    try:
        return torch.load(found[-1], map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{found[-1]}: damaged checkpoint ({reason}): remove it to go on from the one before") from None


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step*.pt"))
