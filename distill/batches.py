"""The batches of an epoch: which samples and views, in which order, and how workers make them.

The sequence of global batches is a pure function of (number of samples, batch, seed, epoch): it does not depend on
the number of ranks or workers, or on where a run was interrupted. Rank r takes rows r*b..(r+1)*b of every global batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cache.several import Teachers
from common.config import Config, ViewsConfig
from common.models import fit
from common.sources import FaceSource
from common.views import Views, epoch_order, view_numbers
from distill.pixels import Verify, check_pixels


class Batch(NamedTuple):
    """One rank's rows of a global batch.

    faces: uint8 (B,H,W,3) RGB. labels: int64 (B,). samples, views: int64 (B,). f_t: float32 (B,D) and confidence:
    float32 (B,), both None where the recipe reads no teacher.
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


def kept_samples(total: int, cache: Teachers | None) -> np.ndarray:
    """The samples an epoch visits, int64: all but those whose pictures do not decode, as the cache knows them."""
    return np.arange(total) if cache is None else np.delete(np.arange(total), cache.skipped)


def epoch_batches(
    samples: np.ndarray,
    views: ViewsConfig,
    count: int,
    seed: int,
    epoch: int,
    batch: int,
    rank: int,
    ranks: int,
    first: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(sample numbers, view numbers) of one rank's batches of an epoch from the `first` on, each int64 (batch,)."""
    order = samples[epoch_order(len(samples), epoch, seed)]
    shown = view_numbers(order, epoch, views.seed, count, views.order)
    for step in range(first, steps_in_epoch(len(samples), batch * ranks)):
        start = (step * ranks + rank) * batch
        yield order[start : start + batch], shown[start : start + batch]


class FaceBatches(Dataset):
    """What a worker needs to turn (samples, views, epoch) into a Batch; asked by whole batches."""

    def __init__(
        self,
        source: FaceSource,
        views: Views,
        cache: Teachers | None,
        confidence: bool,
        size: tuple[int, int],
        verify: Verify = "sample",
    ) -> None:
        """confidence: gather it with f_t. size: (height, width) of the faces the student sees. verify: the share of
        them whose pixels are compared with what the teacher saw."""
        self.source, self.views, self.cache, self.confidence, self.size = source, views, cache, confidence, size
        self.verify = verify

    def __getitem__(self, wanted: tuple[np.ndarray, np.ndarray, int]) -> Batch:
        samples, views, epoch = wanted
        faces = [
            self.views.render(self.source.rgb(sample), self.source.number(sample), view)
            for sample, view in zip(samples.tolist(), views.tolist(), strict=True)
        ]
        f_t = confidence = None
        if self.cache is not None:
            cache = self.cache.of_epoch(epoch)
            check_pixels(cache, samples, views, faces, self.verify)
            f_t = torch.from_numpy(cache.gather(samples, views))
            if self.confidence:
                confidence = torch.from_numpy(cache.confidence(samples, views))
        return Batch(
            faces=torch.from_numpy(np.ascontiguousarray(fit(np.stack(faces), self.size))),
            labels=torch.from_numpy(self.source.labels[samples].astype(np.int64)),
            samples=torch.from_numpy(np.ascontiguousarray(samples)),
            views=torch.from_numpy(np.ascontiguousarray(views)),
            f_t=f_t,
            confidence=confidence,
        )


class EpochOrder:
    """The DataLoader's sampler: whole batches of one epoch, for one rank, from batch number `first` on."""

    def __init__(self, config: Config, samples: np.ndarray, rank: int, ranks: int) -> None:
        self._views, self._train = config.views, config.train
        self.samples, self._rank, self._ranks = samples, rank, ranks
        self.epoch = self.first = 0

    def __len__(self) -> int:
        return steps_in_epoch(len(self.samples), self._train.batch_size * self._ranks)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        train, epoch = self._train, self.epoch
        count = self._views.number
        batches = epoch_batches(
            self.samples,
            self._views,
            count,
            train.seed,
            epoch,
            train.batch_size,
            self._rank,
            self._ranks,
            self.first,
        )
        return ((samples, views, epoch) for samples, views in batches)
