"""The batches of an epoch: which samples and views, in which order, and how workers make them.

The sequence of global batches is a pure function of (number of samples, batch, seeds, epoch): it does not depend on
the number of ranks or workers, or on where a run was interrupted. Rank r takes rows r*b..(r+1)*b of every global batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cache.several import CachedTeacher
from common.config import Config, Verify, ViewsConfig
from common.errors import DataError
from common.faces import FaceSource, Views, epoch_order, refuse_mixed_sizes, view_numbers
from common.models import fit
from distill.pixels import check_pixels


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


def steps_in_epoch(samples: int, global_batch: int) -> int:
    """Full global batches; the rest of an epoch's order, less than one batch, is left out."""
    return samples // global_batch


def kept_samples(total: int, cache: CachedTeacher | None) -> np.ndarray:
    """The samples an epoch visits, int64: all but those whose pictures do not decode, as the cache knows them."""
    return np.arange(total) if cache is None else np.delete(np.arange(total), cache.skipped)


def epoch_batches(
    samples: np.ndarray,
    views: ViewsConfig,
    seed: int,
    epoch: int,
    batch: int,
    rank: int,
    ranks: int,
    first: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(sample numbers, view numbers) of one rank's batches of an epoch from the `first` on, each int64 (batch,).

    seed: the training's. It orders the samples and, with that of the views, chooses what they show.
    """
    order = samples[epoch_order(len(samples), epoch, seed)]
    shown = view_numbers(order, epoch, views.seed, seed, views.number, views.order)
    for step in range(first, steps_in_epoch(len(samples), batch * ranks)):
        start = (step * ranks + rank) * batch
        yield order[start : start + batch], shown[start : start + batch]


class FaceBatches(Dataset[TrainingBatch]):
    """What a worker needs to turn (samples, views, epoch) into a TrainingBatch; asked by whole batches."""

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
        self._first: dict[int, np.ndarray] = {}  # the first face a worker sees, for the size of the others

    def __getitem__(self, wanted: tuple[np.ndarray, np.ndarray, int]) -> TrainingBatch:
        all_samples, all_views, epoch = wanted
        samples, views = all_samples[self.rows_of_rank], all_views[self.rows_of_rank]
        faces = [
            self.views.render(self.source.rgb(sample), self.source.number(sample), view)
            for sample, view in zip(samples.tolist(), views.tolist(), strict=True)
        ]
        labels = self.source.labels[all_samples].astype(np.int64)
        refuse_labels(labels, all_samples, self.source.num_classes)
        self._refuse_mixed_sizes(samples, faces)
        f_t = confidence = None
        if self.cache is not None:
            check_pixels(self.cache, samples, views, epoch, faces, self.verify)
            f_t = torch.from_numpy(self.cache.gather(all_samples, all_views))
            if self.confidence:
                confidence = torch.from_numpy(self.cache.confidence(all_samples, all_views))
        return TrainingBatch(
            faces=torch.from_numpy(np.ascontiguousarray(fit(np.stack(faces), self.size))),
            labels=torch.from_numpy(labels),
            samples=torch.from_numpy(np.ascontiguousarray(samples)),
            views=torch.from_numpy(np.ascontiguousarray(views)),
            f_t=f_t,
            confidence=confidence,
        )

    def _refuse_mixed_sizes(self, samples: np.ndarray, faces: list[np.ndarray]) -> None:
        self._first = self._first or {int(samples[0]): faces[0]}
        refuse_mixed_sizes({**self._first, **dict(zip(samples.tolist(), faces, strict=True))}, self.source.name)


def refuse_labels(labels: np.ndarray, samples: np.ndarray, classes: int) -> None:
    """Raises DataError for a label (B,) that is no class; here, since on a GPU the head cannot look without waiting."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise DataError(
            f"sample {samples[wrong[0]]} has label {labels[wrong[0]]}, but there are {classes} classes, 0 to "
            f"{classes - 1}: the source of the faces has to number them without a gap"
        )


class EpochOrder:
    """The DataLoader's sampler: whole batches of one epoch, from batch number `first` on.

    A rank's own, or with head.split_classes the global ones; `rows_of_rank` says which of either are its own.
    """

    def __init__(self, config: Config, samples: np.ndarray, rank: int, ranks: int) -> None:
        self._views, self._train = config.views, config.train
        self.samples, self._rank, self._ranks = samples, rank, ranks
        self._shared = config.head.split_classes
        self.epoch = self.first = 0

    def __len__(self) -> int:
        return steps_in_epoch(len(self.samples), self._train.batch_size * self._ranks)

    @property
    def rows_of_rank(self) -> slice:
        """Rows of a batch whose faces this rank's student sees."""
        batch = self._train.batch_size
        return slice(self._rank * batch, (self._rank + 1) * batch) if self._shared else slice(None)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        train, epoch = self._train, self.epoch
        batches = epoch_batches(
            self.samples,
            self._views,
            train.seed,
            epoch,
            train.batch_size * self._ranks if self._shared else train.batch_size,
            0 if self._shared else self._rank,
            1 if self._shared else self._ranks,
            self.first,
        )
        return ((samples, views, epoch) for samples, views in batches)
