"""The batches of an epoch, from the disk to tensors: faces in the views wanted, and what the teacher said of them.

Which samples and views, and in which order: distill/batches/epochs.py.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cache.several import CachedTeacher
from common.config import Verify
from common.errors import DataError
from common.faces import FaceSource, Views, refuse_mixed_sizes, shown_face
from common.models import fit
from distill.batches.epochs import Wanted
from distill.batches.pixels import check_pixels


class TrainingBatch(NamedTuple):
    """One rank's rows of a global batch.

    faces: uint8 (B,H,W,3) RGB. labels: int64 (B,). samples, views: int64 (B,). f_t: float32 (B,D) and confidence:
    float32 (B,), both None where the recipe reads no teacher. With head.split_classes labels, f_t and confidence are
    those of all ranks, (W*B,...) in rank order: reading them here saves sending them.
    """

    faces: Tensor
    labels: Tensor
    samples: Tensor
    views: Tensor
    f_t: Tensor | None
    confidence: Tensor | None


class FaceBatches:
    """What a process needs to turn what is wanted into a TrainingBatch."""

    def __init__(
        self,
        source: FaceSource,
        views: Views,
        cache: CachedTeacher | None,
        confidence: bool,
        size: tuple[int, int],
        verify: Verify = "sample",
        rows_of_rank: slice = slice(None),
    ) -> None:
        """confidence: gather it with f_t. size: (height, width) of the faces the student sees. verify: the share of
        them whose pixels are compared with what the teacher saw. rows_of_rank: those of a batch whose faces are this
        rank's; of the others only labels and the teacher's word are asked for."""
        self.source, self.views, self.cache, self.confidence, self.size = source, views, cache, confidence, size
        self.verify, self.rows_of_rank = verify, rows_of_rank
        self._first: dict[int, np.ndarray] = {}  # of the first face's shape, for the size of the others

    def __getitem__(self, wanted: Wanted | tuple[np.ndarray, np.ndarray, int]) -> TrainingBatch:
        wanted = Wanted(*wanted)
        batch = self.empty(len(wanted.samples))
        self.fill(batch, wanted)
        return batch

    def empty(
        self, rows: int, allocate: Callable[[tuple[int, ...], torch.dtype], Tensor] | None = None
    ) -> TrainingBatch:
        """Tensors for a batch of so many samples, nothing in them yet. allocate: makes one, of a shape and dtype."""
        make = allocate or (lambda shape, dtype: torch.empty(shape, dtype=dtype))
        own = len(range(rows)[self.rows_of_rank])
        return TrainingBatch(
            faces=make((own, *self.size, 3), torch.uint8),
            labels=make((rows,), torch.int64),
            samples=make((own,), torch.int64),
            views=make((own,), torch.int64),
            f_t=None if self.cache is None else make((rows, self.cache.dim), torch.float32),
            confidence=make((rows,), torch.float32) if self.cache is not None and self.confidence else None,
        )

    def fill(self, batch: TrainingBatch, wanted: Wanted) -> None:
        """Put what is wanted into the tensors of `empty`, pixel by pixel where they are: nothing is copied after."""
        samples, views = wanted.samples[self.rows_of_rank], wanted.views[self.rows_of_rank]
        faces = self._render(samples, views, batch.faces.numpy())
        labels = self.source.labels[wanted.samples]
        refuse_labels(labels, wanted.samples, self.source.num_classes)
        self._refuse_mixed_sizes(samples, faces)
        batch.labels.numpy()[:] = labels
        batch.samples.numpy()[:], batch.views.numpy()[:] = samples, views
        if self.cache is not None:
            check_pixels(self.cache, samples, views, wanted.epoch, faces, self.verify)
            assert batch.f_t is not None
            batch.f_t.numpy()[:] = self.cache.gather(wanted.samples, wanted.views)
            if batch.confidence is not None:
                batch.confidence.numpy()[:] = self.cache.confidence(wanted.samples, wanted.views)

    def _render(self, samples: np.ndarray, views: np.ndarray, student_faces: np.ndarray) -> Sequence[np.ndarray]:
        """Rendered faces (H,W,3) as the teacher saw them, and into `student_faces` (B,h,w,3) of the student's size."""
        rendered = []
        for sample, view, place in zip(samples.tolist(), views.tolist(), student_faces, strict=True):
            rgb = self.source.rgb(sample, place)
            face = shown_face(self.source, self.views, sample, view, rgb, place)
            if face is not place:
                place[...] = fit(face[np.newaxis], self.size)[0]
            rendered.append(place if face.shape == place.shape else face)
        return rendered

    def _refuse_mixed_sizes(self, samples: np.ndarray, faces: Sequence[np.ndarray]) -> None:
        self._first = self._first or {int(samples[0]): np.broadcast_to(faces[0].dtype.type(), faces[0].shape)}
        refuse_mixed_sizes({**self._first, **dict(zip(samples.tolist(), faces, strict=True))}, self.source.name)


def refuse_labels(labels: np.ndarray, samples: np.ndarray, classes: int) -> None:
    """Raises DataError for a label (B,) that is no class; here, since on a GPU the head cannot look without waiting."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"sample {samples[wrong[0]]} has label {labels[wrong[0]]}, but there are {classes} classes, 0 to "
            f"{classes - 1}: the source of the faces has to number them without a gap"
        )
