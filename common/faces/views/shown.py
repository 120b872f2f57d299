"""Which view a sample shows in an epoch. It depends on the training's seed as well as on that of the views."""

from typing import assert_never

import numpy as np

from common.config import ViewOrder
from common.faces.philox import four_words, words

# Streams of the random words: fixed for ever, since runs are bound to them.
STREAM_VIEW_CHOICE = 1
STREAM_CHOICE_SEED = 6


def view_numbers(
    samples: np.ndarray,
    epoch: int,
    views_seed: int,
    train_seed: int,
    count: int,
    order: ViewOrder = "random",
) -> np.ndarray:
    """The view each sample shows in an epoch: int64 (B,) in 0..count-1, a pure function of its arguments.

    `random` draws anew each epoch, as the online recipe does; `cycle` shows every view once in `count` epochs,
    starting at a random one so that an epoch still mixes views. Either seed alone gives other draws.
    """
    low, high, *_ = four_words(views_seed, STREAM_CHOICE_SEED, train_seed, 0)

    def drawn_in(draw_epoch: int) -> np.ndarray:
        word = words(low | high << 32, STREAM_VIEW_CHOICE, np.asarray(samples), draw_epoch)[..., 0].astype(np.uint64)
        # Fixed-point multiplication instead of a remainder: no bias worth naming, and no float rounding.
        return (word * np.uint64(count) >> np.uint64(32)).astype(np.int64)

    match order:
        case "random":
            return drawn_in(epoch)
        case "cycle":
            return (drawn_in(0) + epoch) % count
        case unknown:
            assert_never(unknown)
