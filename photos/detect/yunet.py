"""YuNet (Wu et al., Machine Intelligence Research 20, 2023) through OpenCV. Fast; faces of up to some 500 pixels."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.errors import ModelError
from photos.detect.found import Found, nothing

SCORE, OVERLAP, CANDIDATES = 0.6, 0.3, 5000


class YuNet:
    """One ONNX file. Raises ModelError when OpenCV cannot run it."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._sha256 = sha256
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # it warns of engines nobody asked for
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), SCORE, OVERLAP, CANDIDATES)
        except cv2.error as error:
            raise ModelError(f"{path}: OpenCV cannot run it ({error.err or error}): copy it again") from error
        finally:
            cv2.utils.logging.setLogLevel(level)

    def describe(self) -> dict[str, Any]:
        return {"name": "yunet", "weights_sha256": self._sha256, "score": SCORE, "overlap": OVERLAP}

    def faces(self, rgb: np.ndarray) -> Found:
        height, width = rgb.shape[:2]
        self._net.setInputSize((width, height))
        rows = self._net.detect(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
        if rows is None:
            return nothing()
        rows = rows[np.argsort(-rows[:, 14], kind="stable")]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return Found(boxes, rows[:, 4:14].reshape(-1, 5, 2), rows[:, 14])
