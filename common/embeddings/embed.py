"""Embeddings of a model for a set of faces.

Convention (InsightFace, CVLface): the embedding of a face is the *sum* of the embeddings of the picture and of its
left-right mirror image, not normalised. CVLface's TinyFace evaluator averages instead; a factor of two on every row
changes no cosine.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.errors import DataError
from common.faces import decode_rgb
from common.models import embed_in_turn

# Called after every batch with the number of faces in it (`common.progress.progress` gives such a function).
Progress = Callable[[int], None]
Faces = Sequence[bytes] | np.ndarray


class Embedder(Protocol):
    """What evaluation asks of a model (`common.models.FaceModel` is one)."""

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """uint8 RGB (B,H,W,3) -> float32 (B,D), not normalised."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of N faces, and how long they were."""

    rows: np.ndarray  # (N,D) float32, mirror image added where asked for, not normalised
    norms: np.ndarray  # (N,) float32: mean length of the single embeddings (picture, mirror image)
    names: tuple[str, ...] | None = None  # what each face is called, where that is known

    @property
    def xnorm(self) -> float:
        """Mean embedding length over the set, InsightFace's XNorm."""
        return float(self.norms.mean(dtype=np.float64))


def embed_faces(
    model: Embedder,
    faces: Faces,
    batch_size: int = 128,
    flip: bool = True,
    progress: Progress | None = None,
    workers: int = 2,
    name: str = "face",
) -> np.ndarray:
    """float32 (N,D) embeddings, mirror image added if `flip`. See `embed_with_norms`."""
    return embed_with_norms(model, faces, batch_size, flip, progress, workers, name).rows


def embed_with_norms(
    model: Embedder,
    faces: Faces,
    batch_size: int = 128,
    flip: bool = True,
    progress: Progress | None = None,
    workers: int = 2,
    name: str = "face",
) -> Embeddings:
    """Embed encoded pictures, or uint8 RGB faces (N,H,W,3).

    Args:
        batch_size: faces a forward pass sees, mirror images not counted: with `flip` it sees twice as many.
        workers: threads that decode the next batch while the model works on this one.
        name: what a picture is called in errors; its number is added.

    Raises:
        DataError: no faces, a picture that cannot be decoded, pictures of different sizes, or a model that gives
            anything but finite numbers, one row a face.
    """
    total = len(faces)
    if not total:
        raise DataError(f"{name}: there are no faces to embed")
    rows: np.ndarray | None = None
    norms = np.empty(total, np.float32)
    views = 2 if flip else 1
    batches = (
        ((start, len(batch)), np.concatenate((batch, batch[:, :, ::-1])) if flip else batch)
        for start, batch in _batches(faces, batch_size, workers, name)
    )
    for (start, count), answer in embed_in_turn(model, batches):
        embedded, stop = np.asarray(answer, np.float32), start + count
        if embedded.ndim != 2 or len(embedded) != views * count or not np.isfinite(embedded).all():
            raise DataError(f"{name} {start} to {stop - 1}: the model gave NaN, infinity or the wrong number of rows")
        if rows is None:
            rows = np.empty((total, embedded.shape[1]), np.float32)
        by_view = embedded.reshape(views, count, -1)
        rows[start:stop] = by_view.sum(axis=0)
        norms[start:stop] = np.linalg.norm(by_view, axis=2).mean(axis=0)
        if progress is not None:
            progress(count)
    assert rows is not None
    return Embeddings(rows, norms)


def _batches(faces: Faces, batch_size: int, workers: int, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """(first face, uint8 faces (B,H,W,3)); one batch is decoded ahead."""
    starts = range(0, len(faces), batch_size)
    if isinstance(faces, np.ndarray):
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[3] != 3:
            raise DataError(f"{name}: faces must be uint8 (N, H, W, 3), not {faces.dtype} {faces.shape}")
        yield from ((start, faces[start : start + batch_size]) for start in starts)
        return

    def decode(number: int) -> np.ndarray:
        return decode_rgb(faces[number], f"{name} {number}")

    with ThreadPoolExecutor(max(workers, 1)) as pool:

        def request(start: int) -> list[Future[np.ndarray]]:
            return [pool.submit(decode, number) for number in range(start, min(start + batch_size, len(faces)))]

        ahead = request(0)
        for start in starts:
            pictures = [future.result() for future in ahead]
            ahead = request(start + batch_size)
            sizes = {picture.shape[:2] for picture in pictures}
            if len(sizes) > 1:
                raise DataError(
                    f"{name} {start} to {start + len(pictures) - 1}: faces of different sizes {sorted(sizes)}"
                )
            yield start, np.stack(pictures)
