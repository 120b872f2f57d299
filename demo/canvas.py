"""A drawing surface in head units: smooth antialiased shapes on an RGBA picture."""

from functools import lru_cache

import cv2
import numpy as np

SIZE = 160  # pixels a side
SCALE = 58.0  # pixels a head unit: a little finer than the 112-pixel photo
CENTER = np.array([80.0, 82.0])
_SHIFT = 4  # OpenCV takes sub-pixel coordinates as fixed point


def to_pixels(points: np.ndarray) -> np.ndarray:
    """(..., 2) head units to (..., 2) canvas pixels."""
    return points * SCALE + CENTER


@lru_cache(maxsize=32)
def _smoothing(count: int, closed: bool, steps: int = 6) -> np.ndarray:
    """(count * steps, count) Catmull-Rom weights: curve = weights @ control points."""
    t = np.arange(steps) / steps
    taps = np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
    spans = count if closed else count - 1
    weights = np.zeros((spans * steps + (not closed), count))
    for span in range(spans):
        for tap, values in enumerate(taps):
            at = span + tap - 1
            at = at % count if closed else min(max(at, 0), count - 1)
            weights[span * steps : (span + 1) * steps, at] += values
    if not closed:
        weights[-1, -1] = 1
    return weights


def curve(points: np.ndarray, closed: bool = True) -> np.ndarray:
    """A smooth curve through (n, 2) control points, as (m, 2) points."""
    return _smoothing(len(points), closed) @ points


def mirrored(half: np.ndarray) -> np.ndarray:
    """Closed outline from the right half given top to bottom; points on x = 0 are not doubled."""
    left = half[::-1] * np.array([-1.0, 1.0])
    keep = np.abs(left[:, 0]) > 1e-6
    return np.concatenate([half, left[keep]])


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.round(to_pixels(points) * (1 << _SHIFT)).astype(np.int32)


def fill(image: np.ndarray, points: np.ndarray, color: np.ndarray | float) -> None:
    """Fill the polygon (n, 2) with an RGBA colour (three numbers are taken as opaque)."""
    cv2.fillPoly(image, [_fixed(points)], _scalar(color, image), cv2.LINE_AA, _SHIFT)


def stroke(image: np.ndarray, points: np.ndarray, color: np.ndarray | float, width: float) -> None:
    """Draw the open polyline (n, 2) with a pen of `width` head units."""
    thick = max(1, round(width * SCALE))
    cv2.polylines(image, [_fixed(points)], False, _scalar(color, image), thick, cv2.LINE_AA, _SHIFT)


def disc(image: np.ndarray, center: tuple[float, float], radius: float, color: np.ndarray | float) -> None:
    """Fill a circle; `radius` in head units."""
    middle = _fixed(np.array(center))
    fixed_radius = max(1, round(radius * SCALE * (1 << _SHIFT)))
    cv2.circle(image, (int(middle[0]), int(middle[1])), fixed_radius, _scalar(color, image), -1, cv2.LINE_AA, _SHIFT)


def mask(points: np.ndarray, soften: int = 0) -> np.ndarray:
    """(SIZE, SIZE) float32 in 0..1, one inside the polygon, its edge blurred over about `soften` pixels."""
    plane = np.zeros((SIZE, SIZE), np.uint8)
    fill(plane, points, 255.0)
    soft = cv2.blur(cv2.blur(plane, (soften, soften)), (soften, soften)) if soften else plane
    return soft.astype(np.float32) * np.float32(1 / 255)


def tint(image: np.ndarray, weight: np.ndarray, color: np.ndarray) -> None:
    """Mix `color` into the RGB channels in place, by `weight` (SIZE, SIZE) in 0..1."""
    rows, columns = np.flatnonzero(weight.any(1)), np.flatnonzero(weight.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    rgb = image[window][..., :3]
    rgb[:] = rgb + (color.astype(np.float32) - rgb) * weight[window][..., None]


def _scalar(color: np.ndarray | float, image: np.ndarray) -> tuple[float, ...]:
    if image.ndim == 2:
        return (float(np.asarray(color).reshape(-1)[0]),)
    values = [float(c) for c in np.clip(np.asarray(color), 0, 255)]
    return tuple(values if len(values) == 4 else [*values, 255.0])
