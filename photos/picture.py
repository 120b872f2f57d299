"""A photo's bytes to RGB pixels, whatever a camera or a web page made of them; or the reason why not.

JPEG by the decoder of all stages; PNG, WebP, BMP, GIF and TIFF by Pillow. A camera's orientation (EXIF) is followed,
transparency lies on white, of 16 bits the upper eight count, of an animation or several pages the first, inks (CMYK)
become colours without their profile, and colour profiles are ignored.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from common.documents import read_regular
from common.errors import DataError

MOST_PIXELS = 1 << 26  # 8,192 x 8,192: 192 MiB a worker
LARGEST_FILE = 1 << 28
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_ORIENTATION = 274


def read_photo(path: Path) -> np.ndarray:
    """The picture in a file: uint8 (H,W,3) RGB, upright. Raises DataError with path and reason."""
    content = read_regular(path, largest=LARGEST_FILE)
    try:
        return decode_photo(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def decode_photo(content: bytes) -> np.ndarray:
    """uint8 (H,W,3) RGB, upright, of an encoded picture. Raises DataError that is the reason alone, with no name.

    Nothing is decoded before its header has been believed to announce at most 2^26 pixels.
    """
    if not content:
        raise DataError("an empty file")
    rgb = _jpeg(content) if content.startswith(_JPEG_START) else None
    rgb = _by_pillow(content) if rgb is None else rgb
    return np.ascontiguousarray(rgb)


def _jpeg(content: bytes) -> np.ndarray | None:
    """None for what the fast decoder has no way for: inks and rare sampling factors."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    _refuse_enormous(width, height)
    if colours in ("CMYK", "YCCK"):
        return None
    if _JPEG_END not in content:
        raise DataError(f"a JPEG cut off after {len(content):,} bytes")
    try:
        rgb: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
    except ValueError as error:
        raise DataError(f"a damaged JPEG ({str(error).rstrip('.')})") from None
    if b"Exif\0\0" not in content[: 1 << 16]:  # where cameras write it; looking costs less than parsing
        return rgb
    return upright(rgb, _orientation_of_jpeg(content))


def _orientation_of_jpeg(content: bytes) -> int:
    """1 where the metadata of a picture that has been decoded cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata and second frames, which nobody asked for
            with Image.open(io.BytesIO(content), formats=("JPEG",)) as picture:
                return _orientation(picture)
    except Exception:
        return 1


def _by_pillow(content: bytes) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, refused here; of damaged metadata, unused
            with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
                _refuse_enormous(*picture.size)
                picture.load()
                return upright(_rgb(picture), _orientation(picture))
    except UnidentifiedImageError:
        raise DataError(
            f"no picture that can be decoded ({len(content):,} bytes, {content[:4].hex(' ')} ...)"
        ) from None
    except Image.DecompressionBombError:
        raise DataError(f"more than {MOST_PIXELS:,} pixels") from None
    except DataError:
        raise
    except Exception as error:  # of plugins and of the libraries behind them: SyntaxError, struct.error, zlib.error ...
        raise DataError(f"a damaged picture ({str(error) or type(error).__name__})") from None


def _rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N"):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise DataError(f"pixels of 32 bits (mode {picture.mode}): save it with 8 or 16")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, coloured).convert("RGB"))
    return np.asarray(picture.convert("RGB"))


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged metadata of a whole picture
        return 1


def upright(rgb: np.ndarray, orientation: int) -> np.ndarray:
    """(H,W,3) or (W,H,3), turned and mirrored as EXIF's orientation 1 to 8 asks; others change nothing."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    return rgb


def _refuse_enormous(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(f"{width} x {height} pixels, more than {MOST_PIXELS:,}: shrink it")
