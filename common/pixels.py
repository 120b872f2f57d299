"""JPEG bytes to RGB pixels and back: one decoder for all three stages."""

import re
from collections.abc import Callable, Mapping

import cv2
import numpy as np

from common.errors import DataError

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
EXIF_FIRST = JPEG_START + b"\xff\xe1"


def decode_rgb(jpeg: bytes, name: str) -> np.ndarray:
    """Decode a JPEG (or PNG) to uint8 (H,W,3), RGB. Grey pictures get three equal channels.

    A camera's orientation (EXIF) is followed where mxnet 1.9.1 does so: right after the start marker, not behind JFIF.

    `name` says in errors which picture this is. Raises DataError for bytes that are no picture, and for a JPEG
    without an end marker: the decoder would fill what is missing with grey and report nothing.
    """
    if jpeg.startswith(JPEG_START) and JPEG_END not in jpeg:
        raise DataError(f"{name}: the JPEG is cut off after {len(jpeg)} bytes (no end marker); copy the data again")
    orientation = 0 if jpeg.startswith(EXIF_FIRST) else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        rgb = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB | orientation) if jpeg else None
    except cv2.error as error:
        raise DataError(f"{name}: the picture cannot be decoded ({error.err or error})") from error
    if rgb is None:
        raise DataError(
            f"{name}: {len(jpeg)} bytes starting {jpeg[:8].hex(' ') or 'nowhere'} are no picture that can be decoded"
        )
    return rgb


def refuse_mixed_sizes(faces: Mapping[int, np.ndarray], name: Callable[[int], str]) -> None:
    """Raises DataError naming two of these pictures, by sample number, that are not of one size.

    name: what errors call a sample.
    """
    if len({face.shape for face in faces.values()}) < 2:
        return
    first, (height, width, _) = next((sample, face.shape) for sample, face in faces.items())
    odd, other = next((sample, face.shape) for sample, face in faces.items() if face.shape != (height, width, 3))
    raise DataError(
        f"{name(odd)}: {other[0]}x{other[1]} pixels, where {name(first)} has {height}x{width}: align all faces to one "
        "size"
    )


def encode_jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    """JPEG bytes of a uint8 (H,W,3) RGB picture; `quality` 1 to 100. Raises ValueError for other arrays."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"a picture is uint8 (H,W,3), not {rgb.dtype} {rgb.shape}")
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def decoder_version() -> str:
    """Name and version of what turns JPEG into pixels, for a cache's manifest: other versions may round otherwise."""
    jpeg = re.search(r"^\s*JPEG:\s*(.+?)\s*$", cv2.getBuildInformation(), re.MULTILINE)
    return f"opencv {cv2.__version__}, {jpeg[1] if jpeg else 'unknown JPEG library'}"
