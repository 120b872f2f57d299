"""Embeddings kept on disk: compute once, measure as often as you like."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import DataError
from evaluate.embed import Embeddings


def save_embeddings(path: str | os.PathLike, embedded: Embeddings, flip: bool) -> None:
    """Write an `.npz` with `rows` (N,D) float32, `norms` (N,) float32 and `flip`. Atomic."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".part")
    with unfinished.open("wb") as file:
        np.savez(file, rows=embedded.rows, norms=embedded.norms, flip=np.array(flip))
    unfinished.replace(target)


def load_embeddings(path: str | os.PathLike) -> tuple[Embeddings, bool]:
    """Embeddings, and whether they hold the mirror image. Raises DataError naming the path and the reason."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            rows, norms, flip = stored["rows"], stored["norms"], bool(stored["flip"])
    except Exception as error:
        # A damaged zip directory gives half a dozen kinds of error, a damaged array header others.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: no stored embeddings, or damaged ones: {reason}") from error
    if rows.ndim != 2 or rows.dtype != np.float32 or norms.shape != (len(rows),):
        raise DataError(f"{path}: rows {rows.dtype} {rows.shape} with norms {norms.shape} are no stored embeddings")
    if not np.isfinite(rows).all():
        raise DataError(f"{path}: the stored embeddings hold NaN or infinity")
    return Embeddings(rows, norms), flip


@dataclass(frozen=True)
class StoredEmbeddings:
    """A folder with SET.npz for every set: takes a model's place in evaluation."""

    folder: Path

    def of(self, set_name: str) -> tuple[Embeddings, bool]:
        """Embeddings of one set, and whether they hold mirror images."""
        return load_embeddings(self.folder / f"{set_name}.npz")
