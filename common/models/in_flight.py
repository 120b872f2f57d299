"""Batches through a model in order; on a GPU the next is under way while the embeddings of one are copied back."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

import numpy as np

What = TypeVar("What")
Finish = Callable[[], np.ndarray]


class Embeds(Protocol):
    """uint8 RGB (B,H,W,3) -> float32 (B,D). May have `begin` and `in_flight` besides, as FaceModel has."""

    def embed(self, faces: np.ndarray) -> np.ndarray: ...


def embed_in_turn(model: Embeds, batches: Iterable[tuple[What, np.ndarray]]) -> Iterator[tuple[What, np.ndarray]]:
    """(anything, faces) -> (the same, its embeddings), in order; an empty batch stays as it is.

    As many batches are begun before the first is waited for as `model.in_flight` says, 1 where it says nothing.
    """
    begin: Callable[[np.ndarray], Finish] | None = getattr(model, "begin", None)
    most = getattr(model, "in_flight", 1)
    if begin is None or most == 1:
        yield from ((what, model.embed(faces) if len(faces) else faces) for what, faces in batches)
        return
    begun: deque[tuple[What, Finish]] = deque()
    for what, faces in batches:
        begun.append((what, begin(faces) if len(faces) else _as_it_is(faces)))
        if len(begun) == most:
            first, finish = begun.popleft()
            yield first, finish()
    yield from ((what, finish()) for what, finish in begun)


def _as_it_is(faces: np.ndarray) -> Finish:
    return lambda: faces
