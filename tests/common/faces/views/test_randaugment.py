"""Operations of RandAugment against Pillow's and against float64; how they are drawn."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from common.config import ViewsConfig
from common.errors import ConfigError
from common.faces.views import Views, randaugment
from common.faces.views.arithmetic import affine
from common.faces.views.randaugment import OPERATIONS, Strength
from tests.common.faces.views.reference import picture

ONE = 1 << 16
FULL = Strength(signed=1.0, moved=1.0, magnitude=1.0)


def dull(height: int, width: int) -> np.ndarray:
    """A picture whose channels do not reach black and white."""
    return (picture(height, width) // 3 + np.array([10, 60, 100])).astype(np.uint8)


@pytest.mark.parametrize(
    "rgb", [dull(112, 96), picture(20, 30), np.full((5, 5, 3), 7, np.uint8)], ids=lambda x: x.shape
)
def test_stretching_is_pillows_up_to_one_level_and_equalising_is_pillows(rgb):
    image = Image.fromarray(rgb)
    stretched = randaugment.autocontrast(rgb, FULL)
    assert np.abs(stretched.astype(int) - np.asarray(ImageOps.autocontrast(image))).max() <= 1
    assert np.array_equal(randaugment.equalize(rgb, FULL), np.asarray(ImageOps.equalize(image)))


@pytest.mark.parametrize("magnitude", [0.0, 0.3, 0.9, 1.0])
def test_posterizing_is_pillows(magnitude):
    rgb = picture(40, 50)
    expected = ImageOps.posterize(Image.fromarray(rgb), 8 - round(4 * magnitude))
    assert np.array_equal(randaugment.posterize(rgb, Strength(1.0, 1.0, magnitude)), np.asarray(expected))


@pytest.mark.parametrize("signed", [-1.0, -0.5, 0.25, 1.0])
@pytest.mark.parametrize(
    ("operation", "name"), [(OPERATIONS[5], "Color"), (OPERATIONS[6], "Contrast"), (OPERATIONS[7], "Brightness"),
                            (randaugment.sharpen, "Sharpness")]
)  # fmt: skip
def test_enhancements_are_pillows_up_to_rounding(operation, name, signed):
    """Pillow cuts off fractions; a factor beyond 1 multiplies what the grey or smoothed picture is off by."""
    rgb = dull(50, 40)
    theirs = getattr(ImageEnhance, name)(Image.fromarray(rgb)).enhance(1 + 0.9 * signed)
    ours = operation(rgb, Strength(signed, 0.0, abs(signed)))
    assert np.abs(ours.astype(int) - np.asarray(theirs)).max() <= (2 if signed > 0 else 1)
    assert (ours != rgb).any()


def sampled(rgb: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """float64 (H,W,3): linear between pixels at places rounded to 32nds, black outside."""
    height, width = rgb.shape[:2]
    padded = np.zeros((height + 2, width + 2, 3))
    padded[1:-1, 1:-1] = rgb
    result = np.zeros(rgb.shape)
    for y in range(height):
        for x in range(width):
            across, down = (math.floor(32 * (a * x + b * y + c) + 0.5) / 32 for a, b, c in (matrix[:3], matrix[3:]))
            left, top = math.floor(across), math.floor(down)
            if -1 <= left < width and -1 <= top < height:
                u, v = across - left, down - top
                corner = padded[top + 1 : top + 3, left + 1 : left + 3]
                result[y, x] = np.tensordot(np.outer([1 - v, v], [1 - u, u]), corner, 2)
    return result


@pytest.mark.parametrize("degrees", [-30.0, 5.4, 90.0])
def test_a_rotation_is_that_of_plain_float64(degrees):
    rgb = picture(25, 32)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    middle = np.array([(32 - 1) / 2, (25 - 1) / 2])
    turn = np.array([[cosine, -sine], [sine, cosine]])
    start = middle - turn @ middle
    expected = sampled(rgb, (*turn[0], start[0], *turn[1], start[1]))
    rotated = randaugment.rotate(rgb, Strength(1.0, degrees / 30, 1.0))
    # A place within rounding of a 32nd's border may fall on the other side, up to a 32nd of the step between pixels.
    assert np.abs(rotated - expected).max() <= 0.5 + 255 * 2 / 32
    assert (np.abs(rotated - expected) > 0.51).mean() < 0.01


def test_any_affine_change_is_that_of_plain_float64():
    rgb, rng = picture(21, 30), np.random.default_rng(0)
    for _ in range(20):
        matrix = tuple(int(v) for v in rng.integers(-2 * ONE, 2 * ONE, 6) * np.array([1, 1, 8, 1, 1, 8]))
        expected = sampled(rgb, tuple(v / ONE for v in matrix))
        assert np.abs(affine(rgb, matrix) - expected).max() <= 0.51


@pytest.mark.parametrize("operation", [randaugment.shear_x, randaugment.shear_y])
def test_a_shear_moves_the_far_rows_most_and_the_middle_not(operation):
    stripe = np.zeros((101, 101, 3), np.uint8)
    stripe[:, 49:52] = 255
    if operation is randaugment.shear_y:
        stripe = np.ascontiguousarray(stripe.transpose(1, 0, 2))
    sheared = operation(stripe, FULL)
    if operation is randaugment.shear_y:
        sheared = sheared.transpose(1, 0, 2)
    places = [np.average(np.arange(101), weights=row[:, 0].astype(float)) for row in sheared]
    assert np.allclose(np.array(places) - 50, -0.3 * (np.arange(101) - 50), atol=0.05)


@pytest.mark.parametrize("moved", [-1.0, -0.1, 0.0, 0.2, 1.0])
def test_a_shift_is_by_whole_pixels_over_black(moved):
    rgb = picture(40, 50) | 1
    wide, high = round(150 / 331 * moved * 50), round(150 / 331 * moved * 40)
    for shifted, axis, by in (
        (randaugment.shift_x(rgb, Strength(1.0, moved, 1.0)), 1, wide),
        (randaugment.shift_y(rgb, Strength(1.0, moved, 1.0)), 0, high),
    ):
        rolled = np.roll(rgb, by, axis)
        gone = slice(0, by) if by >= 0 else slice(by, None)
        rolled[(slice(None), gone) if axis else (gone,)] = 0
        assert np.array_equal(shifted, rolled)


@pytest.mark.parametrize("degrees", [0.0, 0.1, -5.4, 30.0, 89.0])
def test_sine_and_cosine_are_those_of_the_c_library_to_their_last_digit(degrees):
    x = math.radians(degrees)
    assert randaugment.sine_and_cosine(degrees) == (round(math.sin(x) * ONE), round(math.cos(x) * ONE))


def test_operations_and_directions_are_drawn_evenly_and_independently(monkeypatch):
    happened: list[tuple[int, float]] = []

    def note(number: int):
        return lambda rgb, strength: happened.append((number, strength.signed)) or rgb

    monkeypatch.setattr(randaugment, "OPERATIONS", tuple(note(number) for number in range(len(OPERATIONS))))
    config, rgb, total = ViewsConfig(policy="randaugment", randaugment_magnitude=4), picture(1, 1), 20_000
    seen: Counter[tuple[int, int]] = Counter()
    directions = []
    for sample in range(total):
        happened.clear()
        randaugment.randaugment(rgb, config, sample, 3)
        (first, one), (second, other) = happened
        seen[first, second] += 1
        directions += [one, other]
    pairs = len(OPERATIONS) ** 2
    assert len(seen) == pairs
    assert all(abs(count / total - 1 / pairs) < 5 * (1 / pairs / total) ** 0.5 for count in seen.values())
    assert set(directions) == {-0.4, 0.4}
    assert abs(np.mean(directions)) < 0.01


def test_a_longer_row_of_operations_begins_with_the_shorter_one(monkeypatch):
    done: list[int] = []
    noted = [lambda rgb, strength, number=number: done.append(number) or rgb for number in range(len(OPERATIONS))]
    monkeypatch.setattr(randaugment, "OPERATIONS", tuple(noted))
    rows = []
    for count in (3, 16):
        done.clear()
        Views("randaugment", 5, 8, randaugment_operations=count).render(picture(1, 1), 4, 7)
        rows.append(list(done))
    assert rows[1][:3] == rows[0]
    assert len(rows[1]) == 16


def test_seeds_samples_and_views_all_give_other_pictures():
    rgb = picture(64, 64)
    seen = {
        Views("randaugment", seed, 8, randaugment_operations=8).render(rgb, sample, view).tobytes()
        for seed in (0, 1, 2**32, 2**62)
        for sample in (0, 1, 2**31, 2**33)
        for view in range(8)
    }
    assert len(seen) == 4 * 4 * 8


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["randaugment", "flip+randaugment"]),
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 9), st.integers(1, 16), st.floats(0.1, 10), st.floats(0, 1),
)  # fmt: skip
def test_a_view_is_a_picture_of_the_same_kind_and_the_input_stays(policy, height, width, view, number, magnitude, part):
    stored = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    before = stored.copy()
    options = {"operations": number, "magnitude": magnitude, "geometry": part}
    views = Views(policy, 1, 10, **{f"randaugment_{name}": value for name, value in options.items()})
    stored.flags.writeable = False
    seen = [views.render(rgb, 2**40, view) for rgb in (stored, np.asfortranarray(stored))]
    for rendered in seen:
        assert (rendered.dtype, rendered.shape, rendered.flags.c_contiguous) == (np.uint8, (height, width, 3), True)
    assert np.array_equal(*seen)
    assert np.array_equal(stored, before)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"policy": "randaugment", "randaugment_operations": 17}, r"views\.randaugment_operations"),
        ({"policy": "randaugment", "randaugment_magnitude": 0}, r"views\.randaugment_magnitude"),
        ({"policy": "randaugment", "brightness": 0.1}, "brightness has no effect with policy = 'randaugment'"),
        ({"policy": "flip+adaface", "randaugment_geometry": 1}, "randaugment_geometry has no effect"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        Views(**options)
