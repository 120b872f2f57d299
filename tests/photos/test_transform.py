"""The similarity transform by hand, and the resampling against the same sums written out pixel by pixel."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from photos.transform import SIZES, aligned, template, umeyama, warp


def similarity(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, shift])


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pixel_by_pixel(rgb: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear in 32nds of a pixel with black around, every sum of four written out."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    face = np.zeros((*size, 3), np.uint8)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y, _ = back @ (column, row, 1)
            x, y = Fraction(round(x * 32), 32), Fraction(round(y * 32), 32)
            left, top = x.__floor__(), y.__floor__()
            total = [Fraction(0)] * 3
            for at_x, at_y in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
                weight = (1 - abs(x - at_x)) * (1 - abs(y - at_y))
                if 0 <= at_x < rgb.shape[1] and 0 <= at_y < rgb.shape[0]:
                    total = [sum_ + weight * int(c) for sum_, c in zip(total, rgb[at_y, at_x], strict=True)]
            face[row, column] = [(sum_ + Fraction(1, 2)).__floor__() for sum_ in total]
    return face


@pytest.mark.parametrize("size", SIZES)
def test_a_similarity_of_the_template_is_found_again(size):
    wanted = similarity(23, 0.7, (5, -11))
    points = (np.linalg.inv(np.vstack([wanted, [0, 0, 1]])) @ np.column_stack([template(size), np.ones(5)]).T).T
    np.testing.assert_allclose(umeyama(points[:, :2], template(size)), wanted, atol=1e-12)


def test_no_other_similarity_brings_the_points_nearer():
    rng = np.random.default_rng(1)
    points, target = rng.uniform(0, 100, (5, 2)), template((112, 112))

    def error(matrix: np.ndarray) -> float:
        return float(((points @ matrix[:, :2].T + matrix[:, 2] - target) ** 2).sum())

    best = umeyama(points, target)
    a, b = best[0, 0], best[1, 0]
    np.testing.assert_allclose(best[:, :2], [[a, -b], [b, a]], atol=1e-12)  # never a mirror
    for step in rng.normal(0, 0.01, (200, 4)):
        turned = np.array([[a + step[0], -b - step[1]], [b + step[1], a + step[0]]])
        other = np.column_stack([turned, best[:, 2] + 100 * step[2:]])
        assert error(other) >= error(best)


def test_mirrored_points_are_not_mirrored_back():
    matrix = umeyama(template((112, 112)) * (-1, 1), template((112, 112)))
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.full((5, 2), np.inf)])
def test_landmarks_in_one_place_or_nowhere_are_refused(points):
    with pytest.raises(ValueError, match="landmarks"):
        umeyama(points, template((112, 112)))


def test_the_template_of_112x96_is_that_of_112x112_eight_pixels_further_left():
    shift = template((112, 112)) - template((112, 96))
    np.testing.assert_allclose(shift, np.tile([8.0, 0.0], (5, 1)), atol=1e-12)


@pytest.mark.parametrize("degrees", [0, 13, 90, -140])
def test_a_warp_is_the_sum_written_out(degrees):
    rgb, matrix = photo(40, 50), similarity(degrees, 0.8, (9.3, 4.1))
    np.testing.assert_array_equal(warp(rgb, matrix, (24, 20)), pixel_by_pixel(rgb, matrix, (24, 20)))


def test_a_shift_by_whole_pixels_changes_none():
    rgb = photo(200, 300)
    np.testing.assert_array_equal(warp(rgb, similarity(0, 1, (-20, -30)), (112, 112)), rgb[30:142, 20:132])


def test_far_larger_faces_are_means_of_squares():
    rgb = photo(336, 336)
    means = rgb.reshape(112, 3, 112, 3, 3).astype(int).sum((1, 3))
    # The first pixel of the face is the middle of a square of nine.
    matrix = similarity(0, 1 / 3, (-1 / 3, -1 / 3))
    np.testing.assert_array_equal(warp(rgb, matrix, (112, 112)), (2 * means + 9) // 18)


def test_a_face_less_than_twice_as_large_as_its_place_is_not_shrunk_first_and_one_twice_as_large_is():
    rgb = photo(240, 240)
    for larger, shrunk in ((1.9, False), (2.0, True)):
        matrix = similarity(0, 1 / larger, (0, 0))
        plain = warp(rgb, matrix, (112, 112), antialias=False)
        assert np.array_equal(warp(rgb, matrix, (112, 112)), plain) is not shrunk


def test_neither_the_number_of_threads_nor_the_library_below_changes_a_bit():
    rgb, matrix = photo(600, 800), similarity(31, 0.45, (-60, 9))
    threads, wanted = cv2.getNumThreads(), warp(rgb, matrix, (112, 112))
    try:
        for number, optimised in ((1, True), (4, True), (1, False)):
            cv2.setNumThreads(number)
            cv2.setUseOptimized(optimised)
            np.testing.assert_array_equal(warp(rgb, matrix, (112, 112)), wanted)
    finally:
        cv2.setNumThreads(threads)
        cv2.setUseOptimized(True)


@pytest.mark.parametrize("at", [-1e6, -150.0, 400.0, 1e6])
def test_a_face_out_of_the_picture_is_black(at):
    landmarks = (template((112, 112)) + at).astype(np.float32)
    assert not aligned(photo(90, 70), landmarks, (112, 112)).any()


def test_a_picture_wider_than_16_bits_is_cropped_where_the_face_is():
    rgb = np.zeros((112, 40000, 3), np.uint8)
    rgb[:, 39000:39112] = photo(112, 112)
    np.testing.assert_array_equal(warp(rgb, similarity(0, 1, (-39000, 0)), (112, 112)), rgb[:, 39000:39112])
