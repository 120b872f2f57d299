"""Boxes of candidates, as MTCNN cleans them between its networks: corners in whole pixels, both of them inside."""

from typing import Literal

import numpy as np


def suppress(
    boxes: np.ndarray, scores: np.ndarray, overlap: float, share_of: Literal["union", "smaller"] = "union"
) -> np.ndarray:
    """Indices, best first, of the boxes (K,4) that share no more than `overlap` of their area with a better one.

    share_of: what the area in common is divided by, that of both together or that of the smaller box.
    """
    x0, y0, x1, y1 = boxes.T
    area = (x1 - x0 + 1) * (y1 - y0 + 1)
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, rest = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest]) + 1
        height = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest]) + 1
        common = np.maximum(width, 0) * np.maximum(height, 0)
        whole = area[best] + area[rest] - common if share_of == "union" else np.minimum(area[best], area[rest])
        left = rest[common <= overlap * whole]
    return np.array(kept, np.intp)


def moved(boxes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Boxes (K,4) whose corners move by offsets (K,4), given in widths and heights of their boxes."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    corners: np.ndarray = boxes + offsets * np.tile(sides, 2)
    return corners


def squares(boxes: np.ndarray) -> np.ndarray:
    """The square of each box's longer side around its middle, in whole pixels."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    longest = sides.max(1, keepdims=True)
    first = boxes[:, :2] + sides * 0.5 - longest * 0.5
    return np.round(np.hstack([first, first + longest - 1]))
