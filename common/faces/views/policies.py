"""The pictures that a policy makes of a face.

A view is a pure function of (policy, options, seed, sample, view) on decoded RGB pixels, before any network's own size,
channel order or scale: the same bytes in any process, order, or year.
"""

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import cv2
import numpy as np
from pydantic import ValidationError

from common.config import ViewsConfig
from common.errors import ConfigError
from common.faces.views.adaface import augment
from common.faces.views.mixface import mixface, partner_of
from common.faces.views.randaugment import randaugment


class Views:
    """The V views of every sample under a policy.

    `none`: one view, the face as stored. `flip`: exactly two, 0 as stored and 1 mirrored; they cover all of the
    reference recipe's augmentation, so nothing is lost by caching them. `adaface`, `randaugment`: V draws of
    common/faces/views/adaface.py or randaugment.py. `mixface`: V mixtures with other faces. With `flip+` before them:
    the same, of the mirrored face in odd views, so that both directions are covered evenly.
    """

    def __init__(self, policy: str, seed: int = 0, count: int | None = None, **options: Any) -> None:
        """options: those of [views] that say how the policy changes a face; the published ones where not given.

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
    def _parts(self) -> tuple[str, ...]:
        return self._config.parts

    def partner(self, sample: int, view: int, faces: int) -> int | None:
        """The number of the other face, of so many, that a view mixes in; None for policies that mix none in."""
        return partner_of(self._config, sample, view, faces) if "mixface" in self._parts else None

    def render(
        self,
        rgb: np.ndarray,
        sample: int,
        view: int,
        out: np.ndarray | None = None,
        other: np.ndarray | None = None,
    ) -> np.ndarray:
        """uint8 (H,W,3) RGB of one view, contiguous; the input is not changed unless it is `out`, and may be the view.

        out: contiguous uint8 (H,W,3), where a mirrored face is put if it is of that size. other: the picture of
        `partner`, where there is one; it stays as it is.
        """
        if not 0 <= view < self.count:
            raise IndexError(f"view {view} of sample {sample}: there are {self.count}")
        if "flip" in self._parts and view % 2:
            fits = out is not None and out.shape == rgb.shape
            mirrored = cv2.flip(rgb, 1, dst=out if fits else None)
            rgb = out if out is not None and fits else mirrored
        else:
            rgb = np.ascontiguousarray(rgb)
        if "adaface" in self._parts:
            return augment(rgb, self._config, sample, view)
        if "randaugment" in self._parts:
            return randaugment(rgb, self._config, sample, view)
        if "mixface" in self._parts:
            assert other is not None, "the policy mixes in another face: pass that of `partner`"
            return mixface(rgb, other, self._config, sample, view)
        return rgb

    def describe(self) -> dict[str, Any]:
        """What binds a cache to these views, for its manifest: the arguments that make them again."""
        options = self._config.model_dump(mode="json", include=set(self._config.options))
        return {"policy": self.policy, "seed": self.seed, "count": self.count, **options}


def pixel_digest(rgb: np.ndarray) -> int:
    """CRC-32 of the rendered uint8 RGB bytes, as kept in a cache's `pixels`."""
    return zlib.crc32(np.ascontiguousarray(rgb).data)
