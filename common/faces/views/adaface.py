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
from common.faces.views.arithmetic import brightness, contrast, fixed_point, resize, saturation
from common.faces.views.draws import below, between, uniform

# Fixed for ever, like the four positions a view has in it: which operations happen, then one for each.
STREAM_AUGMENT = 4
HAPPENS, CROP, PHOTOMETRIC, LOW_RESOLUTION = range(4)

# Decimal's exp and ln are correctly rounded everywhere; those of the C library are not.
DECIMAL = Context(prec=17)
PHOTOMETRIC_CHANGES = (brightness, contrast, saturation)
ORDERS = list(permutations(range(len(PHOTOMETRIC_CHANGES))))
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def augment(rgb: np.ndarray, views: ViewsConfig, sample: int, view: int) -> np.ndarray:
    """uint8 (H,W,3): one augmented picture of a contiguous uint8 (H,W,3) one, which is not changed.

    The picture itself is returned where no operation happens.
    """

    def draw(operation: int) -> tuple[int, int, int, int]:
        return four_words(views.seed, STREAM_AUGMENT, sample, 4 * view + operation)

    cropped, recoloured, reduced, _ = draw(HAPPENS)
    if uniform(cropped) < views.crop_probability:
        rgb = crop(rgb, views.crop_area, views.crop_aspect, draw(CROP))
    if uniform(reduced) < views.low_resolution_probability:
        rgb = low_resolution(rgb, views.low_resolution_side, draw(LOW_RESOLUTION))
    if uniform(recoloured) < views.photometric_probability:
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
    fraction = between(area, draws[0])
    log = [float(DECIMAL.ln(DECIMAL.create_decimal_from_float(end))) for end in (*aspect, fraction)]
    chosen = between((max(log[0], log[2]), min(log[1], -log[2])), draws[1])
    ratio = float(DECIMAL.exp(DECIMAL.create_decimal_from_float(chosen)))
    wide = min(width, max(1, round(width * sqrt(fraction * ratio))))
    high = min(height, max(1, round(height * sqrt(fraction / ratio))))
    left, top = below(width - wide + 1, draws[2]), below(height - high + 1, draws[3])
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
    factors = [
        fixed_point(between((1 - departure, 1 + departure), word))
        for departure, word in zip(departures, draws[1:], strict=True)
    ]
    for place in ORDERS[below(len(ORDERS), draws[0])]:
        rgb = PHOTOMETRIC_CHANGES[place](rgb, factors[place])
    return rgb


def low_resolution(rgb: np.ndarray, side: tuple[float, float], draws: tuple[int, int, int, int]) -> np.ndarray:
    """Shrink both sides to a random fraction and enlarge again, each time with a random interpolation."""
    height, width = rgb.shape[:2]
    fraction = between(side, draws[0])
    small = max(1, round(width * fraction)), max(1, round(height * fraction))
    down, up = (INTERPOLATIONS[below(len(INTERPOLATIONS), word)] for word in draws[1:3])
    return resize(resize(rgb, small, down), (width, height), up)
