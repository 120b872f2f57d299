"""JPEG bytes to RGB pixels and back: one decoder for all three stages."""

import re
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import simplejpeg

from common.errors import DataError

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
EXIF_FIRST = JPEG_START + b"\xff\xe1"
MOST_PIXELS = 1 << 26  # a picture of 8,192 x 8,192; a header of 20 bytes may announce 65,535 x 65,535


def decode_rgb(jpeg: bytes, name: object, out: np.ndarray | None = None) -> np.ndarray:
    """Decode a JPEG (or PNG) to uint8 (H,W,3), RGB. Grey pictures get three equal channels.

    A camera's orientation (EXIF) is followed where mxnet 1.9.1 does so: right after the start marker, not behind JFIF.

    name: says in errors which picture this is, as text that is made there alone. out: contiguous uint8 (H,W,3); a JPEG
    of that size is decoded into it, and it is returned; of another size or kind it may be overwritten, and the answer
    is a new array. Raises DataError for bytes that are no picture, for more than 2^26 pixels, for a JPEG without an end
    marker, and for one in which libjpeg meets damage: it would fill in what is missing, or show noise, and go on.
    """
    if not jpeg.startswith(JPEG_START):
        return _by_opencv(jpeg, name)
    if not jpeg.endswith(JPEG_END) and JPEG_END not in jpeg:
        raise DataError(f"{name}: the JPEG is cut off after {len(jpeg)} bytes (no end marker); copy the data again")
    if out is not None and _decoded_into(jpeg, out):
        return out
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(jpeg)
    except ValueError:  # no JPEG, or rare sampling factors that TurboJPEG leaves to others
        return _by_opencv(jpeg, name)
    if height * width > MOST_PIXELS:
        raise DataError(f"{name}: a picture of {width} x {height} pixels; at most {MOST_PIXELS:,} are decoded")
    four = colours in ("CMYK", "YCCK")
    try:
        decoded = simplejpeg.decode_jpeg(jpeg, "CMYK" if four else "RGB", strict=True)
    except ValueError as error:
        raise DataError(f"{name}: the JPEG is damaged ({str(error).rstrip('.')}); copy the data again") from None
    return _by_opencv(jpeg, name) if four or jpeg.startswith(EXIF_FIRST) else decoded


def _decoded_into(jpeg: bytes, out: np.ndarray) -> bool:
    """Whether a JPEG was decoded into an array of its size; not for what needs OpenCV, nor for damage."""
    if jpeg.startswith(EXIF_FIRST):
        return False
    try:
        decoded: np.ndarray = simplejpeg.decode_jpeg(jpeg, "RGB", buffer=out, strict=True)
    except ValueError:  # larger than `out`, of four inks, or damaged: who decodes it as a whole finds out
        return False
    return decoded.shape == out.shape


def _by_opencv(picture: bytes, name: object) -> np.ndarray:
    """PNG and the like, and what simplejpeg has no way for: inks and a camera's orientation."""
    orientation = 0 if picture.startswith(EXIF_FIRST) else cv2.IMREAD_IGNORE_ORIENTATION
    try:
        encoded = np.frombuffer(picture, np.uint8)
        rgb = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB | orientation) if picture else None
    except cv2.error as error:
        raise DataError(f"{name}: the picture cannot be decoded ({error.err or error})") from error
    if rgb is None:
        start = picture[:8].hex(" ") or "nowhere"
        raise DataError(f"{name}: {len(picture)} bytes starting {start} are no picture that can be decoded")
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


def encode_png(rgb: np.ndarray) -> bytes:
    """PNG bytes of a uint8 (H,W,3) RGB picture, which decode to the same pixels."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return encoded.tobytes()


def decoder_version() -> str:
    """Name and version of what turns JPEG into pixels, for a cache's manifest: other versions may round otherwise."""
    jpeg = re.search(r"^\s*JPEG:\s*(.+?)\s*$", cv2.getBuildInformation(), re.MULTILINE)
    opencv = f"opencv {cv2.__version__}, {jpeg[1] if jpeg else 'unknown JPEG library'}"
    return f"simplejpeg {simplejpeg.__version__}, {opencv}"
