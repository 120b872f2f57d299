"""Seeded views: what the teacher saw is what the student sees.

    views = Views("flip", seed=0, count=2)
    views.render(rgb, sample=17, view=1)                 # the same bytes in any process, order, or year
    view_numbers(samples, epoch=3, views_seed=0, train_seed=1, count=2)  # which view each sample shows in an epoch

A view is a pure function of (policy, options, seed, sample, view) on decoded RGB pixels, before any network's own size,
channel order or scale. Which view a training shows depends on the training's seed as well: runs of several seeds share
a cache, not the luck of their mirrors and crops.
"""

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, assert_never

import cv2
import numpy as np
from pydantic import ValidationError

from common.config import OPERATIONS, ViewOrder, ViewsConfig
from common.errors import ConfigError
from common.faces.augment import augment
from common.faces.philox import four_words, words

# Streams of the random words: fixed for ever, since caches are bound to them.
STREAM_VIEW_CHOICE = 1
STREAM_CHOICE_SEED = 6


class Views:
    """The V views of every sample under a policy.

    `none`: one view, the face as stored. `flip`: exactly two, 0 as stored and 1 mirrored; they cover all of the
    reference recipe's augmentation, so nothing is lost by caching them. `adaface`: V draws of common/faces/augment.py.
    `flip+adaface`: the same, of the mirrored face in odd views, so that both directions are covered evenly.
    """

    def __init__(self, policy: str, seed: int = 0, count: int | None = None, **options: Any) -> None:
        """options: those of [views] that say how `adaface` changes a face; the recipe's where not given.

        Raises ConfigError for an unknown policy or option, or one without effect.
        """
        try:
            self._config = ViewsConfig.model_validate({"policy": policy, "seed": seed, "count": count, **options})
        except ValidationError as error:
            problems = [
                f"{'.'.join(('views', *map(str, problem['loc'])))}: {problem['msg'].removeprefix('Value error, ')}"
                for problem in error.errors()
            ]
            raise ConfigError("; ".join(problems)) from None

    @classmethod
    def of(cls, config: ViewsConfig) -> Self:
        """The views of an experiment file, which is checked already."""
        views = cls.__new__(cls)
        views._config = config
        return views

    @classmethod
    def from_manifest(cls, described: Mapping[str, Any]) -> Self:
        """The views that `describe` described. Raises ConfigError for what this version cannot make."""
        return cls(**described)

    @property
    def policy(self) -> str:
        return self._config.policy

    @property
    def seed(self) -> int:
        return self._config.seed

    @cached_property
    def count(self) -> int:
        """V, the number of views of a sample."""
        return self._config.number

    @cached_property
    def _augments(self) -> bool:
        return self.policy in ("adaface", "flip+adaface")

    @cached_property
    def _mirrors(self) -> bool:
        return self.policy in ("flip", "flip+adaface")

    def render(self, rgb: np.ndarray, sample: int, view: int, out: np.ndarray | None = None) -> np.ndarray:
        """uint8 (H,W,3) RGB of one view, contiguous; the input is not changed unless it is `out`, and may be the view.

        out: contiguous uint8 (H,W,3), where a mirrored face is put if it is of that size.
        """
        if not 0 <= view < self.count:
            raise IndexError(f"view {view} of sample {sample}: there are {self.count}")
        if self._mirrors and view % 2:
            fits = out is not None and out.shape == rgb.shape
            mirrored = cv2.flip(rgb, 1, dst=out if fits else None)
            rgb = out if out is not None and fits else mirrored
        else:
            rgb = np.ascontiguousarray(rgb)
        return augment(rgb, self._config, sample, view) if self._augments else rgb

    def describe(self) -> dict[str, Any]:
        """What binds a cache to these views, for its manifest: the arguments that make them again."""
        changes = {name for probability, ranges in OPERATIONS.items() for name in (probability, *ranges)}
        options = self._config.model_dump(mode="json", include=changes) if self._augments else {}
        return {"policy": self.policy, "seed": self.seed, "count": self.count, **options}


def pixel_digest(rgb: np.ndarray) -> int:
    """CRC-32 of the rendered uint8 RGB bytes, as kept in a cache's `pixels`."""
    return zlib.crc32(np.ascontiguousarray(rgb).data)


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
