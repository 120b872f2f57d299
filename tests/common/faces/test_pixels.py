"""Decoding and encoding pictures."""

import io

import cv2
import numpy as np
import pytest

from common.errors import DataError
from common.faces.pixels import decode_rgb, decoder_version, encode_jpeg


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


def variants(picture: np.ndarray) -> list[bytes]:
    """The same picture in every way JPEG is met: quality, sampling, progressive, restart markers, grey."""
    made = [encode_jpeg(picture, quality) for quality in (5, 75, 100)]
    made.append(cv2.imencode(".jpg", picture[:, :, 0])[1].tobytes())
    for sampling in (0x411111, 0x221111, 0x211111, 0x121111, 0x111111):
        for extra in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]):
            options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, *extra]
            made.append(cv2.imencode(".jpg", picture, options)[1].tobytes())
    return made


@pytest.mark.parametrize("size", [(48, 40), (112, 112), (17, 3), (1, 1)])
def test_every_whole_jpeg_has_opencv_s_pixels_bit_for_bit(picture, size):
    noisy = cv2.resize(picture, size[::-1]) ^ np.random.default_rng(0).integers(0, 64, (*size, 3), np.uint8)
    for jpeg in variants(noisy):
        by_opencv = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        assert np.array_equal(decode_rgb(jpeg, "here"), by_opencv)


def entropy_coded(jpeg: bytes) -> int:
    """Where the coded blocks of a baseline JPEG begin."""
    scan = jpeg.index(b"\xff\xda")
    return scan + 2 + int.from_bytes(jpeg[scan + 2 : scan + 4], "big")


def test_a_jpeg_glued_from_two_or_with_zeroed_bytes_is_refused(picture):
    noise = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
    jpeg, other = encode_jpeg(picture), encode_jpeg(noise)
    begin, end = entropy_coded(jpeg), len(jpeg) - 2
    zeroed = bytearray(jpeg)
    zeroed[begin:end] = bytes(end - begin)
    damaged = {
        "its middle is missing": jpeg[: begin + 40] + jpeg[end - 40 :],
        "another's end": jpeg[: begin + 60] + other[-200:],
        "zeroed": bytes(zeroed),
        "zeros behind its blocks": jpeg[:end] + bytes(100) + jpeg[end:],
        "a start marker within": jpeg[: begin + 60] + jpeg,
    }
    for how, bad in damaged.items():
        assert cv2.imdecode(np.frombuffer(bad, np.uint8), cv2.IMREAD_COLOR_RGB) is not None, how  # grey or noise
        with pytest.raises(DataError, match=r"^record 7: the JPEG is damaged \(.*\); copy the data again$"):
            decode_rgb(bad, "record 7")


def test_damage_is_seen_in_a_jpeg_that_a_camera_turned(picture):
    jpeg = encode_jpeg(picture)
    exif = b"\xff\xe1" + (8).to_bytes(2, "big") + b"Exif\0\0"
    begin = entropy_coded(jpeg)
    whole, damaged = (start[:2] + exif + start[2:] for start in (jpeg, jpeg[: begin + 40] + jpeg[-40:]))
    assert np.array_equal(decode_rgb(whole, "here"), decode_rgb(jpeg, "here"))
    with pytest.raises(DataError, match="damaged"):
        decode_rgb(damaged, "here")


def test_inks_are_decoded_as_opencv_does(picture):
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(np.dstack([picture, picture[:, :, 0]]), "CMYK").save(file, "JPEG")
    by_opencv = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decode_rgb(file.getvalue(), "here"), by_opencv)
    with pytest.raises(DataError, match="damaged"):
        decode_rgb(file.getvalue()[:-60] + file.getvalue()[-20:], "here")


def test_a_header_that_announces_a_picture_without_end_is_refused_at_once(picture):
    jpeg = bytearray(encode_jpeg(picture))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\x00\xff\x00"  # libjpeg ends at 65,500
    with pytest.raises(DataError, match="record 7: a picture of 65280 x 65280 pixels"):
        decode_rgb(bytes(jpeg), "record 7")


def test_a_quality_changes_the_size(picture):
    assert len(encode_jpeg(picture, 20)) < len(encode_jpeg(picture, 95))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 4), (0, 8, 3)])
def test_only_rgb_pictures_are_encoded(shape):
    with pytest.raises(ValueError, match="uint8"):
        encode_jpeg(np.zeros(shape, np.uint8))


def test_the_decoder_names_library_and_version():
    assert cv2.__version__ in decoder_version()
    assert "jpeg" in decoder_version().lower()


@pytest.mark.parametrize("size", [(48, 40), (112, 112), (17, 3)])
def test_a_picture_decoded_into_place_is_the_one_decoded_anew(picture, size):
    image = pytest.importorskip("PIL.Image")
    noisy = cv2.resize(picture, size[::-1]) ^ np.random.default_rng(0).integers(0, 64, (*size, 3), np.uint8)
    inks = io.BytesIO()
    image.fromarray(np.dstack([noisy, noisy[:, :, 0]]), "CMYK").save(inks, "JPEG")
    png = cv2.imencode(".png", noisy)[1].tobytes()
    turned = b"\xff\xd8\xff\xe1" + (8).to_bytes(2, "big") + b"Exif\0\0" + encode_jpeg(noisy)[2:]
    for jpeg in (*variants(noisy), inks.getvalue(), png, turned):
        expected = decode_rgb(jpeg, "here")
        for shape in (size, (size[0] + 1, size[1]), (size[0] - 1, size[1]), size[::-1]):
            out = np.zeros((*shape, 3), np.uint8)
            assert np.array_equal(decode_rgb(jpeg, "here", out), expected)
    out = np.zeros((*size, 3), np.uint8)
    assert all(decode_rgb(jpeg, "here", out) is out for jpeg in variants(noisy))
    damaged = encode_jpeg(noisy)[:-40] + encode_jpeg(noisy)[-20:]
    with pytest.raises(DataError, match="record 7: the JPEG is damaged"):
        decode_rgb(damaged, "record 7", out)
