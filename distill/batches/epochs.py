"""Which samples and views a run shows, in which order: known before anything is read.

The sequence of global batches is a pure function of (number of samples, batch, seeds, epoch): it does not depend on
the number of ranks or workers, or on where a run was interrupted. Rank r takes rows r*b..(r+1)*b of every global batch.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from cache.several import CachedTeacher
from common.config import Config, ViewsConfig
from common.faces import epoch_order, view_numbers
from distill.batches.balanced import BalancedHalf

BLOCK = 1 << 15  # samples that are looked up at once
VIEWS_AHEAD = 1 << 13  # samples whose views are drawn at once: half a millisecond


class Wanted(NamedTuple):
    """A batch before it is made: sample and view numbers, int64 (B,) each, and the epoch."""

    samples: np.ndarray
    views: np.ndarray
    epoch: int


def steps_in_epoch(samples: int, global_batch: int) -> int:
    """Full global batches; the rest of an epoch's order, less than one batch, is left out."""
    return samples // global_batch


def kept_samples(total: int, cache: CachedTeacher | None) -> np.ndarray:
    """The samples an epoch visits, int64: all but those whose pictures do not decode, as the cache knows them."""
    return np.arange(total) if cache is None else np.delete(np.arange(total), cache.skipped)


def samples_in_order(samples: np.ndarray, epoch: int, seed: int) -> np.ndarray:
    """The kept samples, int64 (N,), in the order of an epoch: 16 bytes a sample, the answer's eight among them."""
    order = epoch_order(len(samples), epoch, seed)
    for start in range(0, len(order), BLOCK):
        order[start : start + BLOCK] = samples[order[start : start + BLOCK]]
    return order


def epoch_batches(
    order: np.ndarray, views: ViewsConfig, seed: int, epoch: int, batch: int, rank: int, ranks: int, first: int = 0
) -> Iterator[Wanted]:
    """One rank's batches of an epoch from the `first` on.

    order: `samples_in_order` of the epoch. seed: the training's; with that of the views it chooses what samples show.
    """
    steps, at_once = steps_in_epoch(len(order), batch * ranks), max(1, VIEWS_AHEAD // batch)
    for start in range(first, steps, at_once):
        stop = min(start + at_once, steps)
        rows = order[start * ranks * batch : stop * ranks * batch].reshape(-1, ranks, batch)[:, rank]
        shown = view_numbers(rows, epoch, views.seed, seed, views.number, views.order)
        for samples, view in zip(rows, shown, strict=True):
            yield Wanted(samples, view, epoch)


class EpochOrder:
    """The batches of a run in their order.

    A rank's own, or with head.split_classes the global ones; `rows_of_rank` says which of either are its own.
    """

    def __init__(
        self, config: Config, samples: np.ndarray, rank: int, ranks: int, labels: np.ndarray | None = None
    ) -> None:
        """samples: int64 (N,), those an epoch visits. labels: int64 of all samples there are, by number; read with
        train.photos_a_person alone, which raises ConfigError where too few people have so many photos."""
        self._views, self._train = config.views, config.train
        self.samples, self._rank, self._ranks = samples, rank, ranks
        self._shared = config.head.split_classes
        self._balanced: BalancedHalf | None = None
        if photos := config.train.photos_a_person:
            assert labels is not None
            batch = config.train.batch_size * ranks
            self._balanced = BalancedHalf(samples, labels[samples], photos, batch, config.train.seed)

    def __len__(self) -> int:
        """Steps of an epoch."""
        return steps_in_epoch(len(self.samples), self._train.batch_size * self._ranks)

    @property
    def rows(self) -> int:
        """Samples of a batch."""
        return self._train.batch_size * (self._ranks if self._shared else 1)

    @property
    def rows_of_rank(self) -> slice:
        """Rows of a batch whose faces this rank's student sees."""
        batch = self._train.batch_size
        return slice(self._rank * batch, (self._rank + 1) * batch) if self._shared else slice(None)

    def from_step(self, step: int) -> Iterator[Wanted]:
        """The batches of steps `step`, `step` + 1, ... to the end of the run, over the ends of epochs.

        The order of the next epoch is made in a thread while this one is used, so none is waited for but the first.
        """
        rank, ranks = (0, 1) if self._shared else (self._rank, self._ranks)
        begun, first = divmod(step, len(self))
        coming = self._order_ahead(begun)
        for epoch in range(begun, self._train.epochs):
            order = coming.result()
            if epoch + 1 < self._train.epochs:
                coming = self._order_ahead(epoch + 1)
            yield from epoch_batches(order, self._views, self._train.seed, epoch, self.rows, rank, ranks, first)
            first = 0

    def _order_ahead(self, epoch: int) -> "Future[np.ndarray]":
        coming: Future[np.ndarray] = Future()

        def make() -> None:
            try:
                order = samples_in_order(self.samples, epoch, self._train.seed)
                coming.set_result(order if self._balanced is None else self._balanced.mixed(order, epoch))
            except BaseException as error:
                coming.set_exception(error)

        # A daemon: a run that ends, by Ctrl-C too, does not wait for an order that nobody will use.
        threading.Thread(target=make, name=f"order of epoch {epoch}", daemon=True).start()
        return coming
