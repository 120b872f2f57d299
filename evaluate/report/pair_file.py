"""The scores of a pair set, kept so that two models can be compared pair by pair later.

EVALUATION/pairs-SET-MODEL.npz     scores float64 (P,), issame bool (P,), maybe people int64 (P,2); not compressed
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from common.files import replacing
from common.text import file_name
from evaluate.protocols import VerificationResult


@dataclass(frozen=True)
class PairScores:
    """scores: float64 (P,), cosines; issame: bool (P,); people_a, people_b: int64 (P,), who is on either side as far
    as that is known, else None."""

    scores: np.ndarray
    issame: np.ndarray
    people_a: np.ndarray | None
    people_b: np.ndarray | None


def pair_path(folder: Path, set_name: str, model: str) -> Path:
    """Where an evaluation folder has a model's scores of a set."""
    return folder / f"pairs-{file_name(set_name)}-{file_name(model)}.npz"


def save_pairs(path: Path, result: VerificationResult) -> None:
    """Keep the scores of all pairs. Atomic."""
    arrays: dict[str, Any] = {"scores": 1 - result.distances / 2, "issame": result.issame}
    if result.people is not None:
        arrays["people"] = result.people
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)


def read_pairs(path: Path) -> PairScores:
    """Scores that `save_pairs` wrote. Raises DataError with the path for anything else."""
    try:
        if not path.is_file():
            raise ValueError("not there" if not path.exists() else "not a regular file")
        with zipfile.ZipFile(path) as archive:
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ValueError("compressed")
        with np.load(path, allow_pickle=False) as stored:
            scores, issame = stored["scores"], stored["issame"]
            people = stored.get("people")
        if scores.dtype != np.float64 or issame.dtype != bool or scores.ndim != 1 or scores.shape != issame.shape:
            raise ValueError(f"scores {scores.dtype} {scores.shape}, issame {issame.dtype} {issame.shape}")
        if people is not None and (people.dtype != np.int64 or people.shape != (len(scores), 2)):
            raise ValueError(f"people {people.dtype} {people.shape}")
        if not np.isfinite(scores).all():
            raise ValueError("scores that are not finite")
    except Exception as error:  # a damaged zip gives half a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: no scores of pairs ({reason}): evaluate again") from None
    return PairScores(scores, issame, *(people.T if people is not None else (None, None)))
