"""The detectors by name, and where their published weights are found."""

from pathlib import Path
from typing import Literal, get_args

from photos.detect.found import Detector

Name = Literal["yunet", "mtcnn"]
DETECTORS: tuple[Name, ...] = get_args(Name)


def open_detector(name: Name, root: Path, weights: Path | None = None) -> Detector:
    """A detector with its published weights, or those in a file (YuNet) or folder (MTCNN).

    YuNet's are `models/face_detection_yunet_2023mar.onnx` below the data root, else the Hub's. Raises ModelError for
    weights that cannot be had or are others than those published.
    """
    raise NotImplementedError
