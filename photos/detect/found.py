"""What a detector finds, and what every detector promises."""

from typing import Any, NamedTuple, Protocol

import numpy as np


class Found(NamedTuple):
    """K faces of one picture, best first. Coordinates are pixels of that picture, x to the right and y down, sub-pixel;
    the centre of the first pixel is (0, 0).

    boxes: float32 (K,4), x0 y0 x1 y1. landmarks: float32 (K,5,2), the eye at the picture's left, the other eye, nose,
    mouth corner at the left, the other. scores: float32 (K,), 0 to 1.
    """

    boxes: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:  # of faces, not of fields
        return len(self.scores)


class Detector(Protocol):
    """Finds faces in a picture. One process's: hand its arguments to another process, not the detector."""

    def faces(self, rgb: np.ndarray) -> Found:
        """The faces of a uint8 (H,W,3) RGB picture."""

    def describe(self) -> dict[str, Any]:
        """What decides its results: name, digest of the weights, parameters. JSON values."""


def nothing() -> Found:
    """No face."""
    return Found(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32))
