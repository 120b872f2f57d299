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
    return _COSFACE + (8.0, 0.0) if SIZES[size] == "arcface" else _COSFACE.copy()


def umeyama(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float64 (2,3): the similarity (rotation, one scale, shift; no mirror) that brings points (K,2) nearest to target.

    Least squares in closed form: Umeyama, PAMI 13(4), 1991, equations 40 to 43. Raises ValueError for points that are
    not finite or all in one place.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    mean, target_mean = points.mean(0), target.mean(0)
    centred, target_centred = points - mean, target - target_mean
    variance = (centred**2).sum() / len(points)
    if not np.isfinite(variance) or variance < 1e-12:
        raise ValueError("the landmarks are not finite, or all in one place")
    left, singular, right = np.linalg.svd(target_centred.T @ centred / len(points))
    signs = np.array([1.0, 1.0 if np.linalg.det(left) * np.linalg.det(right) > 0 else -1.0])
    scaled = (left * signs) @ right * ((singular * signs).sum() / variance)
    return np.column_stack([scaled, target_mean - scaled @ mean])


def warp(rgb: np.ndarray, matrix: np.ndarray, size: Size) -> np.ndarray:
    """uint8 (height,width,3): the face of a uint8 (H,W,3) picture, where `matrix` (2,3) takes picture to face.

    Black outside of the picture.
    """
    height, width = size
    return cv2.warpAffine(rgb, matrix, (width, height))


def aligned(rgb: np.ndarray, landmarks: np.ndarray, size: Size) -> np.ndarray:
    """uint8 (height,width,3): the face of a picture whose landmarks (5,2) come to lie on the template."""
    return warp(rgb, umeyama(landmarks, template(size)), size)
