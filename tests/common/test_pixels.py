"""Decoding and encoding pictures."""

import io

import cv2
import numpy as np
import pytest

from common.errors import DataError
from common.pixels import decode_rgb, decoder_version, encode_jpeg


@pytest.fixture
def picture() -> np.ndarray:
    """Smooth, with a different gradient in each channel."""
    y, x = np.mgrid[0:48, 0:40]
    return np.stack([4 * y + x, 5 * x, 3 * (47 - y)], axis=2).astype(np.uint8)


def test_jpeg_keeps_the_picture_and_the_order_of_its_channels(picture):
    decoded = decode_rgb(encode_jpeg(picture), "here")
    assert decoded.dtype == np.uint8
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).mean() < 2


def test_png_is_decoded_exactly(picture):
    png = cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()
    assert np.array_equal(decode_rgb(png, "here"), picture)


def test_grey_pictures_get_three_channels(picture):
    grey = cv2.imencode(".png", picture[:, :, 0])[1].tobytes()
    assert np.array_equal(decode_rgb(grey, "here"), np.repeat(picture[:, :, :1], 3, axis=2))


def test_decoding_agrees_with_another_decoder(picture):
    image = pytest.importorskip("PIL.Image")
    noisy = picture ^ np.random.default_rng(0).integers(0, 64, picture.shape, np.uint8)
    for quality in (30, 75, 95, 100):
        jpeg = encode_jpeg(noisy, quality)
        assert np.array_equal(decode_rgb(jpeg, "here"), np.asarray(image.open(io.BytesIO(jpeg)).convert("RGB")))


def test_a_camera_s_orientation_is_followed_only_right_after_the_start(picture):
    jpeg = encode_jpeg(picture)
    turned = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + bytes(4)  # TIFF: orientation 6
    exif = b"\xff\xe1" + (len(turned) + 8).to_bytes(2, "big") + b"Exif\0\0" + turned
    behind_jfif = 4 + int.from_bytes(jpeg[4:6], "big")
    upright = decode_rgb(jpeg, "here")
    assert np.array_equal(decode_rgb(jpeg[:2] + exif + jpeg[2:], "here"), np.rot90(upright, -1))
    assert np.array_equal(decode_rgb(jpeg[:behind_jfif] + exif + jpeg[behind_jfif:], "here"), upright)


@pytest.mark.parametrize("bad", [b"", b"\xff", b"\xff\xd8", b"not a picture", bytes(1000), b"\xff\xd8\xff\xd9"])
def test_bytes_that_are_no_picture_are_refused_by_name(bad):
    with pytest.raises(DataError, match=r"train\.rec: record 7"):
        decode_rgb(bad, "train.rec: record 7")


def test_a_cut_off_jpeg_is_refused_wherever_it_is_cut(picture):
    jpeg = encode_jpeg(picture)
    for size in range(0, len(jpeg) - 1, 7):
        with pytest.raises(DataError, match="record 7"):
            decode_rgb(jpeg[:size], "record 7")


def test_a_quality_changes_the_size(picture):
    assert len(encode_jpeg(picture, 20)) < len(encode_jpeg(picture, 95))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 4), (0, 8, 3)])
def test_only_rgb_pictures_are_encoded(shape):
    with pytest.raises(ValueError, match="uint8"):
        encode_jpeg(np.zeros(shape, np.uint8))


def test_the_decoder_names_library_and_version():
    assert cv2.__version__ in decoder_version()
    assert "jpeg" in decoder_version().lower()
