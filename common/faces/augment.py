"""The augmentation of AdaFace's training recipe (Kim et al., CVPR 2022, supplement), as a pure function.

Crop, low resolution and photometric change, in this order, each with its own probability. Every number drawn is a
Philox word of (seed, sample, view, operation): an operation that does not happen moves no other's draw.

The bytes are bound to caches. All arithmetic on pixels is in integers, ours or OpenCV's, and floats appear only where
IEEE 754 or the decimal standard fixes every bit; OpenCV's version is in the manifest's decoder field.
"""

from decimal import Context
from itertools import permutations
from math import sqrt

import cv2
import numpy as np

from common.config import ViewsConfig
from common.faces.philox import four_words

# Fixed for ever, like the four positions a view has in it: which operations happen, then one for each.
STREAM_AUGMENT = 4
HAPPENS, CROP, PHOTOMETRIC, LOW_RESOLUTION = range(4)

# Decimal's exp and ln are correctly rounded everywhere; those of the C library are not.
DECIMAL = Context(prec=17)
# A photometric factor is an integer, in 65,536ths.
FACTOR_BITS = 16
ORDERS = list(permutations(("brightness", "contrast", "saturation")))
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def augment(rgb: np.ndarray, views: ViewsConfig, sample: int, view: int) -> np.ndarray:
    """uint8 (H,W,3): one augmented picture of a contiguous uint8 (H,W,3) one, which is not changed.

    The picture itself is returned where no operation happens.
    """

    def draw(operation: int) -> tuple[int, int, int, int]:
        return four_words(views.seed, STREAM_AUGMENT, sample, 4 * view + operation)

    cropped, recoloured, reduced, _ = draw(HAPPENS)
    if _uniform(cropped) < views.crop_probability:
        rgb = crop(rgb, views.crop_area, views.crop_aspect, draw(CROP))
    if _uniform(reduced) < views.low_resolution_probability:
        rgb = low_resolution(rgb, views.low_resolution_side, draw(LOW_RESOLUTION))
    if _uniform(recoloured) < views.photometric_probability:
        rgb = photometric(rgb, (views.brightness, views.contrast, views.saturation), draw(PHOTOMETRIC))
    return rgb


def crop(
    rgb: np.ndarray, area: tuple[float, float], aspect: tuple[float, float], draws: tuple[int, int, int, int]
) -> np.ndarray:
    """Keep a random rectangle at its place and blacken the rest.

    area: of the rectangle as a fraction of the picture, uniform in the range. aspect: width / height relative to the
    picture's, log-uniform in the part of the range in which a rectangle of that area fits.
    """
    height, width = rgb.shape[:2]
    fraction = _between(area, draws[0])
    log = [float(DECIMAL.ln(DECIMAL.create_decimal_from_float(end))) for end in (*aspect, fraction)]
    chosen = _between((max(log[0], log[2]), min(log[1], -log[2])), draws[1])
    ratio = float(DECIMAL.exp(DECIMAL.create_decimal_from_float(chosen)))
    wide = min(width, max(1, round(width * sqrt(fraction * ratio))))
    high = min(height, max(1, round(height * sqrt(fraction / ratio))))
    left, top = _below(width - wide + 1, draws[2]), _below(height - high + 1, draws[3])
    canvas = np.zeros_like(rgb)
    kept = np.s_[top : top + high, left : left + wide]
    canvas[kept] = rgb[kept]
    return canvas


def photometric(
    rgb: np.ndarray, departures: tuple[float, float, float], draws: tuple[int, int, int, int]
) -> np.ndarray:
    """Brightness, contrast and saturation by factors uniform in 1 - departure .. 1 + departure, in a random order.

    Each moves the picture from or towards something, as in PIL: black, its mean grey, its own grey picture.
    """
    factors = {
        name: round(_between((1 - departure, 1 + departure), word) * (1 << FACTOR_BITS))
        for name, departure, word in zip(ORDERS[0], departures, draws[1:], strict=True)
    }
    every_value = np.arange(256)
    for name in ORDERS[_below(len(ORDERS), draws[0])]:
        if name == "brightness":
            rgb = cv2.LUT(rgb, _blend(every_value, 0, factors[name]))
        elif name == "contrast":
            grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
            mean = (2 * int(cv2.sumElems(grey)[0]) + grey.size) // (2 * grey.size)
            rgb = cv2.LUT(rgb, _blend(every_value, mean, factors[name]))
        else:
            grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.int32)
            rgb = _blend(rgb, grey[..., np.newaxis], factors[name])
    return rgb


def low_resolution(rgb: np.ndarray, side: tuple[float, float], draws: tuple[int, int, int, int]) -> np.ndarray:
    """Shrink both sides to a random fraction and enlarge again, each time with a random interpolation."""
    height, width = rgb.shape[:2]
    fraction = _between(side, draws[0])
    small = max(1, round(width * fraction)), max(1, round(height * fraction))
    down, up = (INTERPOLATIONS[_below(len(INTERPOLATIONS), word)] for word in draws[1:3])
    return _resize(_resize(rgb, small, down), (width, height), up)


def _resize(rgb: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    # Intel's library rounds cubic interpolation otherwise than OpenCV, and is not in every build. It is switched off
    # for the calling thread alone.
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.resize(rgb, size, interpolation=interpolation)
    finally:
        cv2.ipp.setUseIPP(used)


def _blend(values: np.ndarray, towards: np.ndarray | int, factor: int) -> np.ndarray:
    """factor * values + (1 - factor) * towards, rounded half up and clipped to uint8; |factor| is below 4."""
    one = 1 << FACTOR_BITS
    mixed = values.astype(np.int32)
    mixed *= factor
    mixed += (one - factor) * towards + one // 2
    mixed >>= FACTOR_BITS
    return np.clip(mixed, 0, 255, out=mixed).astype(np.uint8)


def _uniform(word: int) -> float:
    """In 0 <= u < 1, exactly."""
    return word / 2**32


def _between(ends: tuple[float, float], word: int) -> float:
    return ends[0] + (ends[1] - ends[0]) * _uniform(word)


def _below(number: int, word: int) -> int:
    """An integer in 0..number-1, by fixed-point multiplication."""
    return word * number >> 32
