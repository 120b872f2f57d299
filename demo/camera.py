"""Behind the face and inside the camera: background, exposure, blur, low resolution, noise, JPEG."""

import cv2
import numpy as np

from common.faces import decode_rgb, encode_jpeg
from demo.photo import Photo

SIZE = 112


def background(rng: np.random.Generator) -> np.ndarray:
    """float32 (112, 112, 3): soft patches of a few colours."""
    rows, columns = rng.integers(2, 7, 2)
    coarse = rng.uniform(30, 225) + rng.normal(0, 22, 3) + rng.normal(0, rng.uniform(5, 45), (rows, columns, 1))
    coarse = coarse + rng.normal(0, 12, (rows, columns, 3))
    return cv2.resize(np.clip(coarse, 0, 255).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def expose(image: np.ndarray, how: Photo) -> np.ndarray:
    """Colour of the light, exposure and contrast."""
    image = image * (how.cast * how.exposure).astype(np.float32)
    return (image - 110) * np.float32(how.contrast) + 110


def take(image: np.ndarray, how: Photo, rng: np.random.Generator) -> np.ndarray:
    """uint8 (112, 112, 3): what the sensor and the file make of the light that falls in."""
    angle, length = how.motion
    if length > 1:
        kernel = np.zeros((9, 9), np.float32)
        reach = np.array([np.cos(angle), np.sin(angle)]) * min(length, 4)
        start, end = ([int(v) for v in np.round(4 + sign * reach)] for sign in (-1, 1))
        cv2.line(kernel, start, end, 1.0)
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    if how.blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), how.blur)
    small = round(SIZE * how.shrink)
    if small < SIZE:
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    image = image + rng.standard_normal(image.shape, np.float32) * np.float32(how.noise)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    pixels = decode_rgb(encode_jpeg(pixels, how.jpeg), "demo face")
    if small < SIZE:
        pixels = cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return pixels
