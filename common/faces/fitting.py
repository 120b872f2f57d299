"""Pictures of any size as pictures of one size, where an experiment says so (`faces.fit`).

Aligned faces need none of this. It happens before the views, so that teacher and student see the same pixels.
"""

from typing import Literal, NamedTuple, assert_never

import cv2
import numpy as np

from common.errors import DataError

Size = tuple[int, int]


class Fit(NamedTuple):
    """How a picture becomes one of (height, width) `size`: its middle of that size, or all of it, resized."""

    method: Literal["crop", "resize"]
    size: Size

    def __str__(self) -> str:
        return f"{self.method} {self.size[0]}x{self.size[1]}"

    def apply(self, rgb: np.ndarray, name: object) -> np.ndarray:
        """uint8 (H,W,3) RGB of `size`. Raises DataError where `crop` would have to add pixels."""
        match self.method:
            case "resize":
                return resized(rgb, self.size)
            case "crop":
                return _middle(rgb, self.size, name)
            case unknown:
                assert_never(unknown)


def _middle(rgb: np.ndarray, size: Size, name: object) -> np.ndarray:
    (full_height, full_width), (height, width) = rgb.shape[:2], size
    if full_height < height or full_width < width:
        raise DataError(
            f'{name}: {full_height}x{full_width} pixels, faces.fit = "crop" takes {height}x{width} of them: '
            'set "resize", or leave the picture out'
        )
    top, left = (full_height - height) // 2, (full_width - width) // 2
    return np.ascontiguousarray(rgb[top : top + height, left : left + width])


def resized(rgb: np.ndarray, size: Size) -> np.ndarray:
    """uint8 (H,W,3) at another (height, width): area means where it shrinks, else bilinear. Proportions may change."""
    height, width = size
    if rgb.shape[:2] == size:
        return rgb
    shrinks = rgb.shape[0] > height
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
