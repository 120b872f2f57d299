"""Arithmetic on pixels that gives the same bytes on every processor: integers, ours or OpenCV's."""

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

# A factor is an integer, in 65,536ths.
FACTOR_BITS = 16
_MAP_BITS = cv2.INTER_BITS  # of a fixed-point map's fractions: 32nds of a pixel


def fixed_point(factor: float) -> int:
    """A factor as `blend` takes it."""
    return round(factor * (1 << FACTOR_BITS))


def blend(values: np.ndarray, towards: np.ndarray | int, factor: int) -> np.ndarray:
    """factor * values + (1 - factor) * towards, rounded half up and clipped to uint8; |factor| is below 4."""
    one = 1 << FACTOR_BITS
    mixed = values.astype(np.int32)
    mixed *= factor
    mixed += (one - factor) * towards + one // 2
    mixed >>= FACTOR_BITS
    return np.clip(mixed, 0, 255, out=mixed).astype(np.uint8)


def grey(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H,W): OpenCV's luma of a uint8 (H,W,3) picture."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def brightness(rgb: np.ndarray, factor: int) -> np.ndarray:
    """Away from or towards black, as in PIL."""
    return cv2.LUT(rgb, blend(np.arange(256), 0, factor))


def contrast(rgb: np.ndarray, factor: int) -> np.ndarray:
    """Away from or towards the picture's mean grey, as in PIL."""
    luma = grey(rgb)
    mean = (2 * int(cv2.sumElems(luma)[0]) + luma.size) // (2 * luma.size)
    return cv2.LUT(rgb, blend(np.arange(256), mean, factor))


def saturation(rgb: np.ndarray, factor: int) -> np.ndarray:
    """Away from or towards the grey picture, as in PIL."""
    return blend(rgb, grey(rgb).astype(np.int32)[..., np.newaxis], factor)


def resize(rgb: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """A picture at another (width, height), by OpenCV's own code."""
    with _without_intels_library():
        return cv2.resize(rgb, size, interpolation=interpolation)


def at_resolution(rgb: np.ndarray, side: int) -> np.ndarray:
    """The picture shrunk until its longer side has so many pixels (means of areas), and enlarged again (bicubic)."""
    height, width = rgb.shape[:2]
    small = max(1, round(width * side / max(height, width))), max(1, round(height * side / max(height, width)))
    return resize(resize(rgb, small, cv2.INTER_AREA), (width, height), cv2.INTER_CUBIC)


def affine(rgb: np.ndarray, matrix: tuple[int, int, int, int, int, int]) -> np.ndarray:
    """uint8 (H,W,3): pixel (x,y) shows the picture's (a x + b y + c, d x + e y + f).

    Linear between pixels, black outside. matrix: (a, b, c, d, e, f) in 65,536ths. Places are rounded half up to
    32nds of a pixel.
    """
    a, b, c, d, e, f = matrix
    height, width = rgb.shape[:2]
    x, y = np.arange(width), np.arange(height)[:, np.newaxis]
    drop = FACTOR_BITS - _MAP_BITS
    across, down = ((u * x + v * y + w + (1 << drop >> 1)) >> drop for u, v, w in ((a, b, c), (d, e, f)))
    whole = np.stack((across >> _MAP_BITS, down >> _MAP_BITS), axis=-1).clip(-(2**15), 2**15 - 1).astype(np.int16)
    below_one = (1 << _MAP_BITS) - 1
    fraction = ((down & below_one) << _MAP_BITS | (across & below_one)).astype(np.uint16)
    with _without_intels_library():
        return cv2.remap(rgb, whole, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


@contextmanager
def _without_intels_library() -> Iterator[None]:
    """It rounds otherwise than OpenCV, and is not in every build. It is switched off for the calling thread alone."""
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        yield
    finally:
        cv2.ipp.setUseIPP(used)
