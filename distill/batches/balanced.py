"""Half of every global batch in people: so that a batch has pairs of one person (EKD, Huang et al., CVPR 2022).

The other half is the order of the epoch, as ever. Which people, and which of their photos, is a pure function of
(seed, epoch, step): ranks, workers and restarts change nothing.
"""

import numpy as np

from common.errors import ConfigError
from common.faces import words

STREAM_PEOPLE = 22
STREAM_PHOTOS = 23
_ROUNDS = 1 << 12  # times an epoch goes through all people, at most


class BalancedHalf:
    """Puts people into the order of an epoch."""

    def __init__(self, samples: np.ndarray, labels: np.ndarray, photos: int, global_batch: int, seed: int) -> None:
        """samples, labels: int64 (N,), those an epoch visits and whom they show. photos: of each person in a batch.

        Raises ConfigError where too few people have so many photos.
        """
        self._batch, self._photos, self._seed = global_batch, photos, seed
        self._people = global_batch // 2 // photos  # of a batch
        # Photos of one person stand together; `_first` is where those of a person with enough of them begin.
        grouped = np.argsort(labels, kind="stable")
        self._samples, self._labels = samples[grouped], labels[grouped]
        _, first, count = np.unique(self._labels, return_index=True, return_counts=True)
        self._first = first[count >= photos]
        if len(self._first) < max(self._people, 1) or not self._people:
            raise ConfigError(
                f"train.photos_a_person = {photos}: half of a global batch of {global_batch} takes {self._people} "
                f"people of so many photos, and there are {len(self._first)}: lower it, or set it to 0"
            )
        places = np.arange(global_batch) * (self._people * photos)
        # Evenly over the batch, so that every rank gets its share.
        self._balanced = (places + self._people * photos) // global_batch > places // global_batch

    def mixed(self, order: np.ndarray, epoch: int) -> np.ndarray:
        """int64 (steps * global batch,): the batches of an epoch, from its order (N,), of which they take the first."""
        steps = len(order) // self._batch
        batches = np.empty((steps, self._batch), order.dtype)
        others = self._batch - self._people * self._photos
        batches[:, ~self._balanced] = order[: steps * others].reshape(steps, others)
        batches[:, self._balanced] = self._drawn(steps, epoch)
        return batches.reshape(-1)

    def _drawn(self, steps: int, epoch: int) -> np.ndarray:
        """int64 (steps, people * photos): in every round all people in another order, and of each other photos."""
        at_once = len(self._first) // self._people  # batches of a round, none of which has a person twice
        rounds = -(-steps // at_once)
        assert rounds <= _ROUNDS
        drawn = []
        for number in range(epoch * _ROUNDS, epoch * _ROUNDS + rounds):
            keys = words(self._seed, STREAM_PEOPLE, np.arange(len(self._first)), number)[:, 0]
            people = np.argsort(keys, kind="stable")[: at_once * self._people]
            keys = words(self._seed, STREAM_PHOTOS, self._samples, number)[:, 0]
            shuffled = self._samples[np.lexsort((keys, self._labels))]
            drawn.append(shuffled[self._first[people][:, None] + np.arange(self._photos)].reshape(at_once, -1))
        return np.concatenate(drawn)[:steps] if drawn else np.empty((0, self._people * self._photos), np.int64)
