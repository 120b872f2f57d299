"""RandAugment (Cubuk et al., CVPR Workshops 2020) for aligned faces, as a pure function.

So many operations one after the other, each drawn from the same list with equal chances, all at one magnitude of
0..10; its ranges are AutoAugment's (Cubuk et al., CVPR 2019, table 6). Of the paper's fourteen operations thirteen are
here, and those that move the face keep to a share of their range: docs/views.md says why.

Words are those of (seed, sample, view, place in the row of operations). As in adaface.py the bytes are bound to caches:
pixels are integers, ours or OpenCV's, and no function of the C library takes part.
"""

from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from common.config import ViewsConfig
from common.faces.philox import four_words
from common.faces.views.arithmetic import (
    FACTOR_BITS,
    affine,
    blend,
    brightness,
    contrast,
    fixed_point,
    saturation,
)
from common.faces.views.draws import below

# Fixed for ever, like the places a view has in it.
STREAM_RANDAUGMENT = 8
PLACES = 16
TOP = 10.0  # the greatest magnitude
# At the greatest magnitude: degrees; shear; part of a side; departure of a factor from 1; bits of a colour taken away.
ROTATION, SHEAR, SHIFT, DEPARTURE, BITS = 30, 0.3, 150 / 331, 0.9, 4
PI = Decimal("3.141592653589793238462643383279503")
DECIMAL = Context(prec=30)


class Strength(NamedTuple):
    """How far an operation goes. signed: -1.0..1.0, of the range of those with two directions. moved: the same, of
    those that move the face. magnitude: 0.0..1.0, of those with one direction."""

    signed: float
    moved: float
    magnitude: float


def randaugment(rgb: np.ndarray, views: ViewsConfig, sample: int, view: int) -> np.ndarray:
    """uint8 (H,W,3): one augmented picture of a contiguous uint8 (H,W,3) one, which is not changed."""
    part = views.randaugment_magnitude / TOP
    for place in range(views.randaugment_operations):
        which, side, *_ = four_words(views.seed, STREAM_RANDAUGMENT, sample, PLACES * view + place)
        signed = part if below(2, side) else -part
        rgb = OPERATIONS[below(len(OPERATIONS), which)](
            rgb, Strength(signed, signed * views.randaugment_geometry, part)
        )
    return rgb


def identity(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """The picture itself."""
    return rgb


def autocontrast(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Each channel stretched until its darkest value is 0 and its brightest 255."""
    tables = np.empty((1, 256, 3), np.uint8)
    for channel in range(3):
        darkest, brightest = (int(end) for end in cv2.minMaxLoc(rgb[..., channel])[:2])
        width = max(1, brightest - darkest)
        stretched = (510 * (np.arange(256) - darkest) + width) // (2 * width)
        tables[0, :, channel] = stretched.clip(0, 255) if brightest > darkest else np.arange(256)
    return cv2.LUT(rgb, tables)


def equalize(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Each channel's values spread so that all are about as frequent, as PIL's ImageOps does it."""
    tables = np.empty((1, 256, 3), np.uint8)
    for channel in range(3):
        counts = np.bincount(rgb[..., channel].ravel(), minlength=256)
        step = int(counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        before = counts.cumsum() - counts
        tables[0, :, channel] = ((before + step // 2) // step).clip(0, 255) if step else np.arange(256)
    return cv2.LUT(rgb, tables)


def posterize(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Colours of 8 to 4 bits."""
    return rgb & (0x100 - (1 << round(BITS * strength.magnitude)))


def sharpen(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Away from or towards the picture under PIL's smoothing filter (1 around 5, over 13), its border left alone."""
    around = cv2.boxFilter(rgb, cv2.CV_16U, (3, 3), normalize=False)[1:-1, 1:-1]
    inside = rgb[1:-1, 1:-1]
    smooth = (around + 4 * inside.astype(np.uint16) + 6) // 13
    sharpened = rgb.copy()
    sharpened[1:-1, 1:-1] = blend(inside, smooth.astype(np.int32), fixed_point(1 + DEPARTURE * strength.signed))
    return sharpened


def rotate(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Turned about its middle."""
    sine, cosine = sine_and_cosine(ROTATION * strength.moved)
    return _about_the_middle(rgb, (cosine, -sine, sine, cosine))


def shear_x(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Rows shifted in proportion to their distance from the middle."""
    return _about_the_middle(rgb, (1 << FACTOR_BITS, fixed_point(SHEAR * strength.moved), 0, 1 << FACTOR_BITS))


def shear_y(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Columns shifted in proportion to their distance from the middle."""
    return _about_the_middle(rgb, (1 << FACTOR_BITS, 0, fixed_point(SHEAR * strength.moved), 1 << FACTOR_BITS))


def shift_x(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Moved sideways by whole pixels."""
    return _shifted(rgb, round(SHIFT * strength.moved * rgb.shape[1]), 0)


def shift_y(rgb: np.ndarray, strength: Strength) -> np.ndarray:
    """Moved up or down by whole pixels."""
    return _shifted(rgb, 0, round(SHIFT * strength.moved * rgb.shape[0]))


def _by_factor(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[np.ndarray, Strength], np.ndarray]:
    return lambda rgb, strength: change(rgb, fixed_point(1 + DEPARTURE * strength.signed))


# Their order is fixed for ever: a word chooses a place in it.
OPERATIONS: tuple[Callable[[np.ndarray, Strength], np.ndarray], ...] = (
    identity,
    autocontrast,
    equalize,
    rotate,
    posterize,
    _by_factor(saturation),
    _by_factor(contrast),
    _by_factor(brightness),
    sharpen,
    shear_x,
    shear_y,
    shift_x,
    shift_y,
)


@lru_cache
def sine_and_cosine(degrees: float) -> tuple[int, int]:
    """Of an angle of at most a right one, in 65,536ths: by their power series in decimals, alike on every machine."""
    x = DECIMAL.divide(DECIMAL.multiply(DECIMAL.create_decimal_from_float(degrees), PI), Decimal(180))
    terms = [Decimal(1)]
    for power in range(1, 30):
        terms.append(DECIMAL.divide(DECIMAL.multiply(terms[-1], x), Decimal(power)))

    def alternating(first: int) -> int:
        series = [term if place % 2 == 0 else -term for place, term in enumerate(terms[first::2])]
        total = Decimal(0)
        for term in series:
            total = DECIMAL.add(total, term)
        return round(DECIMAL.multiply(total, Decimal(1 << FACTOR_BITS)))

    return alternating(1), alternating(0)


def _about_the_middle(rgb: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The picture under (a, b; d, e), in 65,536ths, which leaves its middle where it is."""
    a, b, d, e = matrix
    one = 1 << FACTOR_BITS
    across, down = rgb.shape[1] - 1, rgb.shape[0] - 1  # twice the middle's place
    return affine(rgb, (a, b, ((one - a) * across - b * down) >> 1, d, e, ((one - e) * down - d * across) >> 1))


def _shifted(rgb: np.ndarray, right: int, down: int) -> np.ndarray:
    height, width = rgb.shape[:2]
    canvas = np.zeros_like(rgb)
    if abs(right) < width and abs(down) < height:
        there = np.s_[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
        here = np.s_[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
        canvas[there] = rgb[here]
    return canvas
