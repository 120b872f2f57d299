"""The shape of a head as a height field, how it turns, and how light falls on it."""

from functools import lru_cache

import cv2
import numpy as np

from demo.canvas import CENTER, SCALE, SIZE
from demo.identity import Identity

STEP = 2  # canvas pixels between two samples of the relief: it is smooth, the colours on it are not
_SAMPLES = SIZE // STEP
_AXIS_X = ((np.arange(_SAMPLES) * STEP - CENTER[0]) / SCALE).astype(np.float32)
_AXIS_Y = ((np.arange(_SAMPLES) * STEP - CENTER[1]) / SCALE).astype(np.float32)


def _bump(x: float, y: float, width: float, height: float) -> np.ndarray:
    """(80, 80) separable Gaussian of height one."""
    return np.outer(np.exp(-(((_AXIS_Y - y) / height) ** 2)), np.exp(-(((_AXIS_X - x) / width) ** 2)))


def _pair(x: float, y: float, width: float, height: float) -> np.ndarray:
    return _bump(x, y, width, height) + _bump(-x, y, width, height)


@lru_cache(maxsize=64)
def head_relief(who: Identity) -> np.ndarray:
    """(80, 80) float32 heights in head units over the frontal canvas, mouth and eyes at rest."""
    height = 0.78 * (1 - 0.92 * (_AXIS_X / (who.cheek + 0.1))[None, :] ** 2 - 0.55 * (_AXIS_Y[:, None] / 1.3) ** 2)
    tip = who.eye_height + who.nose_length
    along = np.clip((_AXIS_Y - who.eye_height + 0.05) / (who.nose_length + 0.05), 0, 1.0)
    ridge = along**1.4 * np.exp(-((np.maximum(_AXIS_Y - tip, 0) / 0.055) ** 2))
    spread = who.nose_bridge + (0.62 * who.nose_width - who.nose_bridge) * along
    height = height + who.nose_height * ridge[:, None] * np.exp(-((_AXIS_X[None, :] / spread[:, None]) ** 2))
    height += 0.08 * _pair(0.72 * who.nose_width, tip + 0.01, 0.055, 0.06)
    height -= who.socket * _pair(who.eye_gap, who.eye_height, 0.2, 0.11)
    height += 0.045 * _pair(who.eye_gap, who.eye_height, 0.12, 0.07)
    height += who.brow_ridge * _pair(who.eye_gap, who.eye_height - who.brow_gap, 0.25, 0.07)
    height += who.cheekbone * _pair(0.55, 0.22, 0.2, 0.16)
    mouth = who.mouth_height
    height += 0.06 * _bump(0, mouth - 0.04, 0.2, 0.06) + 0.05 * _bump(0, mouth + 0.07, 0.15, 0.05)
    height += who.chin_relief * _bump(0, who.chin - 0.17, 0.2, 0.12) - 0.03 * _bump(0, mouth + 0.15, 0.2, 0.05)
    return height.astype(np.float32)


def height_at(relief: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n,) heights below (n, 2) points in head units, nearest sample."""
    at = np.clip(np.round((points * SCALE + CENTER) / STEP).astype(int), 0, _SAMPLES - 1)
    return relief[at[:, 1], at[:, 0]]


def rotation(yaw: float, pitch: float) -> np.ndarray:
    """(3, 3) turn of the head: head frame to camera frame."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])


def shade(relief: np.ndarray, light: np.ndarray, ambient: float) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (about 0.3 to 1.2) and highlight (0..1) under a light given in the head frame.

    Lambert and Blinn, with the hollows (below their own blur) darkened as if the sky were hidden from them.
    """
    dx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=SCALE / STEP / 8)
    dy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=SCALE / STEP / 8)
    length = 1 / np.sqrt(dx * dx + dy * dy + 1)
    facing = (light[2] - light[0] * dx - light[1] * dy).astype(np.float32) * length
    half = light + np.array([0, 0, 1.0])
    half = half / np.linalg.norm(half)
    gloss = np.maximum((half[2] - half[0] * dx - half[1] * dy).astype(np.float32) * length, 0)
    gloss = gloss * gloss
    gloss = gloss * gloss
    gloss = gloss * gloss
    hollow = relief - cv2.blur(relief, (9, 9))
    bright = np.float32(ambient) + np.float32(1.15 * (1 - ambient)) * np.maximum(facing, 0)
    return bright * np.clip(1 + 2.2 * hollow, 0.55, 1.12), gloss * gloss
