"""Pictures of every kind become the pixels that were put in; the others are refused, each for its reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from photos.picture import _FORMATS, decode_photo, read_photo, upright


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return np.kron(np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8), np.ones((8, 8, 1), np.uint8))


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colours: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_formats_give_their_pixels(kind, rgb):
    np.testing.assert_array_equal(
        decode_photo(encoded(rgb, kind, **({"lossless": True} if kind == "WEBP" else {}))), rgb
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_s_orientation_is_followed_as_another_reader_follows_it(orientation, rgb):
    exif = Image.Exif()
    exif[274] = orientation
    content = encoded(rgb, "JPEG", quality=95, exif=exif)
    from PIL import ImageOps

    theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    ours = decode_photo(content)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_followed_once_in_every_format(kind, rgb):
    exif = Image.Exif()
    exif[274] = 6
    content = encoded(rgb, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decode_photo(content), np.rot90(rgb, -1))


def test_turning_keeps_an_unknown_orientation_as_it_is(rgb):
    assert upright(rgb, 0) is rgb
    assert upright(rgb, 77) is rgb


def test_grey_has_three_equal_channels(rgb):
    for kind in ("PNG", "JPEG"):
        grey = decode_photo(encoded(rgb[..., 0], kind))
        assert grey.shape == rgb.shape
        assert (grey == grey[..., :1]).all()


def test_transparency_lies_on_white():
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]], np.uint8)
    np.testing.assert_array_equal(decode_photo(encoded(pixels, "PNG")), [[[10, 20, 30], [255, 255, 255]]])


@pytest.mark.parametrize(("colours", "channels"), [(0, 1), (2, 3)])
def test_of_sixteen_bits_the_upper_eight_count(colours, channels):
    values = np.array([0x12FF, 0xFE01, 0x8080], ">u2")[:channels]
    wanted = [[np.resize(values >> 8, 3)]]
    np.testing.assert_array_equal(decode_photo(png(1, 1, 16, colours, b"\0" + values.tobytes())), wanted)


def test_inks_become_colours():
    inks = Image.fromarray(np.full((16, 16, 4), (255, 0, 0, 0), np.uint8), "CMYK")
    for kind in ("JPEG", "TIFF"):
        red, green, blue = decode_photo(encoded(inks, kind))[8, 8].tolist()
        assert (red < 30, green > 200, blue > 200) == (True, True, True)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_or_several_pages_the_first_counts(kind, rgb):
    second = Image.fromarray(255 - rgb)
    options = {"save_all": True, "append_images": [second], **({"lossless": True} if kind == "WEBP" else {})}
    np.testing.assert_array_equal(decode_photo(encoded(rgb, kind, **options)), rgb)


def test_a_jpeg_with_further_frames_is_its_first_and_damaged_lists_of_frames_are_passed_over(rgb, recwarn):
    """Phones append a smaller picture (MPF); Pillow calls such a file MPO, a format without an opener of its own."""
    exif = Image.Exif()
    exif[274] = 6
    second = [Image.fromarray(255 - rgb)]
    content = encoded(rgb, "MPO", quality=95, save_all=True, append_images=second, exif=exif)
    shown = decode_photo(content)
    assert np.abs(shown.astype(int) - np.rot90(rgb, -1)).mean() < 12
    entries = content.index(b"MPF\0") + 8
    for at in range(entries, entries + 60):
        damaged = bytearray(content)
        damaged[at] ^= 0xFF
        np.testing.assert_array_equal(decode_photo(bytes(damaged)), shown)
    assert not recwarn.list


def test_every_format_looked_for_has_an_opener():
    Image.init()
    assert set(_FORMATS) <= set(Image.OPEN)


def test_an_enormous_picture_is_refused_by_its_header():
    black = png(65_000, 65_000, 8, 0, b"")
    assert len(black) < 100
    with pytest.raises(DataError, match="more than 67,108,864"):
        decode_photo(black)
    with pytest.raises(DataError, match="more than 67,108,864"):
        decode_photo(png(9_000, 9_000, 8, 2, b""))
    header = encoded(np.zeros((8, 8, 3), np.uint8), "JPEG")
    at = header.index(b"\xff\xc0") + 5
    with pytest.raises(DataError, match="65000 x 65000"):
        decode_photo(header[:at] + struct.pack(">HH", 65000, 65000) + header[at + 4 :])


def test_what_is_no_whole_picture_is_refused_with_a_reason(rgb, tmp_path):
    jpeg, other = encoded(rgb, "JPEG"), encoded(rgb, "PNG")
    for content, reason in (
        (b"", "an empty file"),
        (b"hello", "no picture that can be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture that can be decoded"),
        (jpeg[:-20], "cut off"),
        (jpeg[:3], "damaged|no picture"),
        (other[: len(other) // 2], "damaged picture"),
        (encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "32 bits"),
    ):
        with pytest.raises(DataError, match=reason):
            decode_photo(content)
    (tmp_path / "cut.jpg").write_bytes(jpeg[:200])
    with pytest.raises(DataError, match=r"cut\.jpg: "):
        read_photo(tmp_path / "cut.jpg")


def test_any_damaged_bytes_are_refused_or_decoded_but_raise_nothing_else(rgb):
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"):
        content = np.frombuffer(encoded(rgb, kind), np.uint8)
        for _ in range(60):
            damaged = content.copy()
            damaged[rng.integers(0, len(content), 3)] = rng.integers(0, 256, 3)
            try:
                decoded = decode_photo(damaged.tobytes())
            except DataError:
                continue
            assert decoded.dtype == np.uint8
            assert decoded.shape[2] == 3
