"""The order of an epoch: that of sorting all keys at once, in a few bytes a sample."""

import subprocess
import sys

import numpy as np
import pytest

from common.faces import epochs
from common.faces.epochs import BLOCK, epoch_order
from common.faces.philox import words

PINNED = [7, 2, 1, 5, 6, 4, 0, 3]


def sorted_at_once(total: int, epoch: int, seed: int) -> np.ndarray:
    """The plain formulation: two words a sample as one key, sorted stably."""
    word = words(seed, 2, np.arange(total), epoch).astype(np.uint64)
    return np.argsort(word[:, 0] << np.uint64(32) | word[:, 1], kind="stable")


def test_an_order_is_pinned():
    """Changing these numbers would silently unbind every run made before."""
    assert epoch_order(8, 1, 3).tolist() == PINNED


@pytest.mark.parametrize("total", [0, 1, 2, 3, 1000, 1024, 1025, BLOCK - 1, BLOCK, 2 * BLOCK + 1])
@pytest.mark.parametrize(("epoch", "seed"), [(0, 0), (7, 2**63 - 1), (2**31, 2**32 + 5)])
def test_an_order_made_in_blocks_is_that_of_all_keys_at_once(total, epoch, seed):
    order = epoch_order(total, epoch, seed)
    assert order.dtype == np.int64
    assert np.array_equal(order, sorted_at_once(total, epoch, seed))


@pytest.mark.parametrize("low_bits", [1, 6, 20])
def test_samples_whose_keys_agree_in_their_high_bits_stand_by_the_rest_of_them(monkeypatch, low_bits):
    """Keys of few high bits, so that most samples share them; the whole keys, and then the numbers, decide."""
    keys = np.random.default_rng(low_bits).integers(0, 1 << low_bits, 3 * BLOCK, np.uint64)
    keys |= np.random.default_rng(0).integers(0, 4, len(keys), np.uint64) << np.uint64(62)
    monkeypatch.setattr(epochs, "double_words", lambda seed, stream, samples, epoch: keys[samples.astype(np.int64)])
    assert np.array_equal(epoch_order(len(keys), 0, 0), np.argsort(keys, kind="stable"))


def test_epoch_order_is_a_permutation_of_its_own_each_epoch():
    orders = [epoch_order(1000, e, 0) for e in range(3)]
    for order in orders:
        assert np.array_equal(np.sort(order), np.arange(1000))
    assert (orders[0] == orders[1]).mean() < 0.02
    assert np.array_equal(epoch_order(1000, 1, 0), orders[1])


MEASURED = """
import resource, sys
import numpy as np
from common.config import ViewsConfig
from distill.batches.epochs import epoch_batches, samples_in_order
total = int(sys.argv[1])
def peak(): return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
next(epoch_batches(samples_in_order(np.arange(1000), 0, 0), ViewsConfig(), 0, 0, 64, 0, 1))
before = peak()
samples = np.arange(total)
now = samples_in_order(samples, 0, 0)
following = samples_in_order(samples, 1, 0)
for batch in epoch_batches(now, ViewsConfig(), 0, 0, 384, 0, 1): pass
print((peak() - before) / total)
"""


@pytest.mark.parametrize("total", [1_000_000, pytest.param(5_822_653, marks=pytest.mark.slow)])
def test_two_epochs_and_their_views_take_few_bytes_a_sample(total):
    """The kept samples, the order in use and the next one, 8 bytes each; 36 would be 200 MiB at MS1MV2's size."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(total)], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < (36 if total > 5_000_000 else 40)
