"""The order in which an epoch visits its samples: a shuffle that needs eight bytes a sample, and nothing beside.

Samples stand in the order of 64-bit random keys. To sort the keys alone, in place, the sample's number takes the place
of a key's low bits; the few whose high bits agree are put right by their whole keys, which are drawn again.
"""

from collections.abc import Iterator

import numpy as np

from common.faces.philox import double_words

# Stream of the random words: fixed for ever, since runs are bound to it.
STREAM_EPOCH_ORDER = 2
BLOCK = 1 << 15  # samples whose words are drawn at once: what stays in a core's cache


def epoch_order(total: int, epoch: int, seed: int) -> np.ndarray:
    """The order in which an epoch visits samples 0..total-1: int64 (total,), a pure function of its arguments.

    Equal keys (about total**2 / 2**65 pairs) keep sample order. It does not depend on the number of ranks or workers.
    """
    bits = np.uint64(max(total - 1, 0).bit_length())
    number = (np.uint64(1) << bits) - np.uint64(1)
    order = np.empty(total, np.uint64)
    for block in _blocks(total):
        samples = np.arange(block.start, block.stop, dtype=np.uint64)
        order[block] = double_words(seed, STREAM_EPOCH_ORDER, samples, epoch) & ~number | samples
    order.sort()
    tied = _tied(order, bits)
    order &= number
    samples = order[tied]
    order[tied] = samples[np.lexsort((samples, double_words(seed, STREAM_EPOCH_ORDER, samples, epoch)))]
    return order.view(np.int64)


def _tied(ascending: np.ndarray, bits: np.uint64) -> np.ndarray:
    """Places, ascending, of the values that agree with a neighbour in all but their low bits."""
    found = []
    for block in _blocks(max(len(ascending) - 1, 0)):
        same = block.start + np.flatnonzero(
            (ascending[block] ^ ascending[block.start + 1 : block.stop + 1]) >> bits == 0
        )
        found += [same, same + 1]
    return np.unique(np.concatenate(found)) if found else np.arange(0)


def _blocks(total: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, total)) for start in range(0, total, BLOCK))
