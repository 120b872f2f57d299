"""Pictures of any size as pictures of one size, where an experiment says so (`faces.fit`).

Aligned faces need none of this. It happens before the views, so that teacher and student see the same pixels.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np

from common.errors import DataError

Size = tuple[int, int]


class Fit(NamedTuple):
    """How a picture becomes one of (height, width) `size`: its middle of that size, or all of it, resized."""

    how: Literal["crop", "resize"]
    size: Size

    def __str__(self) -> str:
        return f"{self.how} {self.size[0]}x{self.size[1]}"

    def apply(self, rgb: np.ndarray, name: str) -> np.ndarray:
        """uint8 (H,W,3) RGB of `size`. Raises DataError where `crop` would have to add pixels."""
        if self.how == "resize":
            return resized(rgb, self.size)
        (have_height, have_width), (height, width) = rgb.shape[:2], self.size
        if have_height < height or have_width < width:
            raise DataError(
                f'{name}: {have_height}x{have_width} pixels, faces.fit = "crop" takes {height}x{width} of them: '
                'set "resize", or leave the picture out'
            )
        top, left = (have_height - height) // 2, (have_width - width) // 2
        return np.ascontiguousarray(rgb[top : top + height, left : left + width])


def resized(rgb: np.ndarray, size: Size) -> np.ndarray:
    """uint8 (H,W,3) at another (height, width): area means where it shrinks, else bilinear. Proportions may change."""
    height, width = size
    if rgb.shape[:2] == size:
        return rgb
    shrinks = rgb.shape[0] > height
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
