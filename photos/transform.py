"""Five landmarks to an aligned face: the similarity transform, and a resampling that gives the same bytes everywhere.

Templates are where the landmarks of an aligned face lie: ArcFace's for 112x112 (Deng et al., CVPR 2019), CosFace's for
112x96 (Wang et al., CVPR 2018; SphereFace's), which is the same face eight pixels further left.
"""

import cv2
import numpy as np

Size = tuple[int, int]  # (height, width)

_COSFACE = np.array(
    [[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]]
)
SIZES: dict[Size, str] = {(112, 112): "arcface", (112, 96): "cosface"}
"""Sizes of aligned faces, (height, width), and whose template each has."""


def template(size: Size) -> np.ndarray:
    """float64 (5,2): x, y of eyes, nose and mouth corners in an aligned face of (height, width) `size`."""
    return _COSFACE + np.array([8.0, 0.0]) if SIZES[size] == "arcface" else _COSFACE.copy()


def umeyama(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float64 (2,3): the similarity (rotation, one scale, shift; no mirror) that brings points (K,2) nearest to target.

    Least squares in closed form: Umeyama, PAMI 13(4), 1991, equations 40 to 43. Raises ValueError for points that are
    not finite or all in one place.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    if not np.isfinite(points).all():
        raise ValueError("the landmarks are not finite")
    mean, target_mean = points.mean(0), target.mean(0)
    centred, target_centred = points - mean, target - target_mean
    variance = (centred**2).sum() / len(points)
    if variance < 1e-12:
        raise ValueError("the landmarks are all in one place")
    left, singular, right = np.linalg.svd(target_centred.T @ centred / len(points))
    signs = np.array([1.0, 1.0 if np.linalg.det(left) * np.linalg.det(right) > 0 else -1.0])
    scaled = (left * signs) @ right * ((singular * signs).sum() / variance)
    return np.column_stack([scaled, target_mean - scaled @ mean])


def warp(rgb: np.ndarray, matrix: np.ndarray, size: Size, antialias: bool = True) -> np.ndarray:
    """uint8 (height,width,3): the face of a uint8 (H,W,3) picture, where `matrix` (2,3), a similarity, takes picture to
    face. Black outside of the picture.

    Bilinear between pixels, in 32nds of one. A face more than twice as large as `size` is first shrunk by a whole
    number, to means of squares; without antialias it is not, as public recipes have it. All of it in integers, so no
    library, thread or instruction set changes a bit.
    """
    turn, shift = matrix[:, :2], matrix[:, 2]
    back = np.array([[turn[1, 1], -turn[0, 1]], [-turn[1, 0], turn[0, 0]]]) / (turn[0, 0] ** 2 + turn[1, 0] ** 2)
    columns, rows = np.arange(size[1]) - shift[0], np.arange(size[0])[:, np.newaxis] - shift[1]
    x = back[0, 0] * columns + back[0, 1] * rows
    y = back[1, 0] * columns + back[1, 1] * rows
    shrinks = max(1, int(np.hypot(back[0, 0], back[1, 0]))) if antialias else 1
    part, left, top = _around(rgb, x, y, shrinks)
    if shrinks > 1:
        part = _means(part, shrinks)
        x, y = ((at - start - (shrinks - 1) / 2) / shrinks for at, start in ((x, left), (y, top)))
    else:
        x, y = x - left, y - top
    return _bilinear(part, x, y)


def aligned(rgb: np.ndarray, landmarks: np.ndarray, size: Size, antialias: bool = True) -> np.ndarray:
    """uint8 (height,width,3): the face of a picture whose landmarks (5,2) come to lie on the template."""
    return warp(rgb, umeyama(landmarks, template(size)), size, antialias)


def _around(rgb: np.ndarray, x: np.ndarray, y: np.ndarray, margin: int) -> tuple[np.ndarray, int, int]:
    """The part of a picture that coordinates lie in, at least a pixel, and the column and row it begins at."""
    height, width = rgb.shape[:2]
    first = [int(np.clip(np.floor(at.min()) - margin, 0, side - 1)) for at, side in ((x, width), (y, height))]
    last = [int(np.clip(np.ceil(at.max()) + margin + 1, 1, side)) for at, side in ((x, width), (y, height))]
    left, top = first
    right, bottom = max(last[0], left + 1), max(last[1], top + 1)
    return rgb[top:bottom, left:right], left, top


def _means(rgb: np.ndarray, side: int) -> np.ndarray:
    """Means of squares of `side` pixels, rounded half up; black is added where the last ones are not full."""
    height, width = (-(-length // side) for length in rgb.shape[:2])
    whole = np.zeros((height * side, width * side, 3), np.uint8)
    whole[: rgb.shape[0], : rgb.shape[1]] = rgb
    lines = np.add.reduce(whole.reshape(height, side, width * side, 3), axis=1, dtype=np.uint32)
    sums = np.add.reduce(lines.reshape(height, width, side, 3), axis=2)
    means: np.ndarray = (2 * sums + side * side) // (2 * side * side)
    return means.astype(np.uint8)


def _bilinear(rgb: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pixels at coordinates, each in 32nds; OpenCV multiplies these by weights in integers, where IPP would not."""
    within = [np.clip(at, -2.0, side + 1.0) for at, side in ((x, rgb.shape[1]), (y, rgb.shape[0]))]
    across, down = (np.floor(32 * at + 0.5).astype(np.int32) for at in within)
    whole = np.stack([across >> 5, down >> 5], -1).astype(np.int16)
    parts = ((down & 31) << 5 | across & 31).astype(np.uint16)
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        return cv2.remap(rgb, whole, parts, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    finally:
        cv2.ipp.setUseIPP(used)
