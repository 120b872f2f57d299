"""Views of the AdaFace recipe: the same bytes everywhere, the probabilities and ranges asked for."""

import json
import multiprocessing
import os
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from common.config import ViewsConfig
from common.config.views import OPTIONS
from common.errors import ConfigError
from common.faces.philox import four_words
from common.faces.views import Views, adaface, arithmetic, pixel_digest
from tests.common.faces.views.reference import ALWAYS, STORED, picture, stored

ROOT = Path(__file__).parents[4]
NEVER = dict.fromkeys(ALWAYS, 0.0)
PLAIN = "adaface", 0, 4
PAIRS = [(sample, view) for sample in range(60) for view in range(4)]


def digest(pair: tuple[int, int]) -> int:
    return pixel_digest(Views("flip+adaface", 5, 4).render(picture(48, 40), *pair))


def test_pixels_are_pinned():
    """Changing these numbers would silently unbind every cache made before."""
    assert dict(stored()) == json.loads(STORED.read_text())


@pytest.mark.parametrize(
    "setting",
    [{"OPENCV_IPP": "disabled"}, {"OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,AVX,FP16,SSE4.2,SSE4.1,SSSE3"}],
    ids=["without Intel's library", "without vector instructions"],
)
def test_another_processor_renders_the_same_pixels(setting):
    answer = subprocess.run(
        [sys.executable, "-m", "tests.common.faces.views.reference"],
        env={**os.environ, **setting},
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    assert json.loads(answer) == json.loads(STORED.read_text())


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_another_process_renders_the_same_pixels(start):
    with multiprocessing.get_context(start).Pool(1 if start == "spawn" else 2) as pool:
        assert pool.map(digest, PAIRS, chunksize=7) == [digest(pair) for pair in PAIRS]


def test_neither_threads_nor_order_change_a_pixel():
    shuffled = random.Random(0).sample(PAIRS, len(PAIRS))
    with ThreadPoolExecutor(4) as pool:
        assert dict(zip(shuffled, pool.map(digest, shuffled), strict=True)) == {pair: digest(pair) for pair in PAIRS}


def test_rendering_leaves_the_threads_use_of_intels_library_as_it_was():
    before = cv2.ipp.useIPP()
    Views(*PLAIN, **ALWAYS).render(picture(40, 40), 0, 0)
    assert cv2.ipp.useIPP() == before


def test_a_view_does_not_depend_on_how_many_there_are():
    rgb = picture(64, 64)
    few, many = Views("adaface", 1, 3, **ALWAYS), Views("adaface", 1, 30, **ALWAYS)
    assert all(np.array_equal(few.render(rgb, 8, view), many.render(rgb, 8, view)) for view in range(3))


def test_seeds_samples_and_views_all_give_other_pictures():
    rgb = picture(64, 64)
    seen = {
        pixel_digest(Views("adaface", seed, 8, **ALWAYS).render(rgb, sample, view))
        for seed in (0, 1, 2**32, 2**62)
        for sample in (0, 1, 2**31, 2**33)
        for view in range(8)
    }
    assert len(seen) == 4 * 4 * 8


def test_odd_views_of_flip_adaface_are_those_of_the_mirrored_face():
    rgb = picture(50, 70)
    both, plain = Views("flip+adaface", 4, 6, **ALWAYS), Views("adaface", 4, 6, **ALWAYS)
    for view in range(6):
        assert np.array_equal(both.render(rgb, 9, view), plain.render(rgb[:, ::-1] if view % 2 else rgb, 9, view))


ranges = st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted)
fractions = st.floats(0, 1)
options = st.fixed_dictionaries(
    {
        "crop_probability": st.sampled_from([0.5, 1.0]),
        "crop_area": ranges,
        "crop_aspect": st.tuples(st.floats(0.01, 1), st.floats(1, 100)),
        "photometric_probability": st.sampled_from([0.5, 1.0]),
        "brightness": fractions,
        "contrast": fractions,
        "saturation": fractions,
        "low_resolution_probability": st.sampled_from([0.5, 1.0]),
        "low_resolution_side": ranges,
    }
)


@settings(max_examples=150, deadline=None)
@given(options, st.sampled_from(["adaface", "flip+adaface"]), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_a_view_is_a_picture_of_the_same_kind_and_the_input_stays(options, policy, height, width, view):
    stored = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    before, seen = stored.copy(), []
    stored.flags.writeable = False
    for rgb in (stored, np.asfortranarray(stored)):
        rendered = Views(policy, 1, 10, **options).render(rgb, 2**40, view)
        assert (rendered.dtype, rendered.shape, rendered.flags.c_contiguous) == (np.uint8, (height, width, 3), True)
        seen.append(rendered)
    assert np.array_equal(*seen)
    assert np.array_equal(stored, before)


def test_each_operation_happens_with_its_own_probability_and_in_its_order(monkeypatch):
    happened: list[str] = []

    def note(name: str):
        return lambda rgb, *_: happened.append(name) or rgb

    for name in ("crop", "photometric", "low_resolution"):
        monkeypatch.setattr(adaface, name, note(name))
    own = {"crop_probability": 0.2, "photometric_probability": 0.5, "low_resolution_probability": 0.3}
    config, total, seen = ViewsConfig(policy="adaface", **own), 8_000, Counter()
    rgb = picture(1, 1)
    for sample in range(total):
        happened.clear()
        adaface.augment(rgb, config, sample, 2)
        seen[tuple(happened)] += 1
    for crop in (0, 1):
        for photometric in (0, 1):
            for low in (0, 1):
                names = ("crop",) * crop + ("low_resolution",) * low + ("photometric",) * photometric
                p = (0.2 if crop else 0.8) * 0.5 * (0.3 if low else 0.7)
                assert abs(seen[names] / total - p) < 4 * (p * (1 - p) / total) ** 0.5, names
    assert sum(seen.values()) == total


def test_a_crop_keeps_a_rectangle_in_place_and_within_its_ranges():
    rgb = picture(160, 160) | 1
    views = Views("adaface", 0, 1, **{**NEVER, "crop_probability": 1}, crop_area=(0.2, 0.8), crop_aspect=(0.5, 2.0))
    areas, aspects, lefts, tops = [], [], [], []
    for sample in range(600):
        kept = views.render(rgb, sample, 0)
        rows, columns = (np.flatnonzero(kept.any(axis=(axis, 2))) for axis in (1, 0))
        inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.array_equal(kept[inside], rgb[inside])
        high, wide = len(rows), len(columns)
        assert kept.astype(bool).sum() == high * wide * 3
        areas.append(high * wide / rgb[..., 0].size)
        aspects.append(wide / high)
        lefts.append(columns[0] / max(1, 160 - wide))
        tops.append(rows[0] / max(1, 160 - high))
    assert 0.19 < min(areas) < 0.21
    assert 0.79 < max(areas) < 0.81
    assert 0.49 < min(aspects) < 0.55
    assert 1.85 < max(aspects) < 2.03
    assert abs(np.mean(areas) - 0.5) < 0.03
    assert abs(np.mean(np.log(aspects))) < 0.06
    assert abs(np.mean(lefts) - 0.5) < 0.05
    assert abs(np.mean(tops) - 0.5) < 0.05


@pytest.mark.parametrize("departure", [0.5, 0.2])
def test_brightness_is_uniform_within_its_range(departure):
    rgb = np.full((2, 2, 3), 100, np.uint8)
    only = {**NEVER, "photometric_probability": 1, "brightness": departure, "contrast": 0, "saturation": 0}
    values = np.array([Views(*PLAIN, **only).render(rgb, sample, 0)[0, 0, 0] for sample in range(2000)], float)
    assert (values.min(), values.max()) == (100 - 100 * departure, 100 + 100 * departure)
    assert abs(values.mean() - 100) < 4 * 100 * departure / (3 * 2000) ** 0.5
    assert abs(values.std() - 100 * departure / 3**0.5) < 3 * departure


@pytest.mark.parametrize("name", ["Brightness", "Contrast", "Color"])
@pytest.mark.parametrize("word", [0, 2**31 + 12345, 2**32 - 1])
def test_a_photometric_change_is_pillows_up_to_one_level(name, word):
    rgb = picture(112, 96)
    index = ("Brightness", "Contrast", "Color").index(name)
    departures = [0.0, 0.0, 0.0]
    departures[index] = 0.5
    ours = adaface.photometric(rgb, tuple(departures), (0, word, word, word))
    theirs = np.asarray(getattr(ImageEnhance, name)(Image.fromarray(rgb)).enhance(0.5 + word / 2**32))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_blending_rounds_as_exact_fractions_do():
    for factor in (0, 1, 32768, 40_000, 65_536, 98_304, 131_072):
        share = Fraction(factor, 65_536)
        for towards in (0, 77, 255):
            got = arithmetic.blend(np.arange(256), towards, factor)
            exact = [share * value + (1 - share) * towards for value in range(256)]
            assert got.tolist() == [min(255, max(0, (e + Fraction(1, 2)).__floor__())) for e in exact]


def test_all_orders_of_photometric_changes_occur():
    """With factors far from 1 the six orders clip differently, so they give six pictures."""
    rgb = picture(32, 32)
    words = (2**32 - 1,) * 3
    seen = {adaface.photometric(rgb, (1.0, 1.0, 1.0), (k * 2**32 // 6 + 1, *words)).tobytes() for k in range(6)}
    assert len(seen) == 6


def test_low_resolution_takes_sides_and_interpolations_evenly(monkeypatch):
    asked = []
    monkeypatch.setattr(adaface, "resize", lambda rgb, size, how: asked.append((size, how)) or rgb)
    total = 5000
    for sample in range(total):
        adaface.low_resolution(np.empty((1000, 500, 3), np.uint8), (0.2, 1.0), four_words(0, 99, sample, 0))
    small, back = asked[::2], asked[1::2]
    sides = np.array([high / 1000 for (_, high), _ in small])
    assert all(abs(wide - high / 2) <= 1 for (wide, high), _ in small)
    assert 0.2 <= sides.min() < 0.202
    assert 0.998 < sides.max() <= 1
    assert abs(sides.mean() - 0.6) < 4 * 0.8 / (12 * total) ** 0.5
    assert {size for size, _ in back} == {(500, 1000)}
    pairs = Counter((down, up) for (_, down), (_, up) in zip(small, back, strict=True))
    assert len(pairs) == 25
    assert max(pairs.values()) < total / 25 + 5 * (total / 25) ** 0.5


@pytest.mark.parametrize("policy", ["none", "flip", "adaface", "flip+adaface", "flip+randaugment"])
def test_a_manifest_and_an_experiment_file_make_the_same_views(policy):
    own = {"count": 5, "crop_area": (0.5, 0.9), "saturation": 0.1} if "adaface" in policy else {}
    own |= {"count": 5, "randaugment_operations": 3, "randaugment_geometry": 0.7} if "randaugment" in policy else {}
    views = Views.of(ViewsConfig(policy=policy, seed=2**62, order="random", **own))
    again = Views.from_manifest(json.loads(json.dumps(views.describe())))
    assert again.describe() == views.describe() == Views(policy, 2**62, **own).describe()
    rgb = picture(40, 40)
    for sample in range(20):
        for view in range(views.count):
            assert np.array_equal(views.render(rgb, sample, view), again.render(rgb, sample, view))


def test_a_manifest_names_everything_that_changes_a_pixel():
    of_a_policy = set().union(*(Views(policy).describe() for policy in ("adaface", "randaugment", "mixface")))
    assert of_a_policy == set(ViewsConfig.model_fields) - {"order"}
    assert not set(Views("adaface").describe()) & set(OPTIONS["randaugment"])
    assert set(Views("flip").describe()) == {"policy", "seed", "count"}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"policy": "adaface", "count": 0}, r"views\.count"),
        ({"policy": "adaface", "crop_area": (0.0, 1.0)}, r"views\.crop_area"),
        ({"policy": "adaface", "crop_area": (0.9, 0.3)}, r"crop_area is \(least, greatest\)"),
        ({"policy": "adaface", "crop_aspect": (1.1, 1.5)}, r"views\.crop_aspect"),
        ({"policy": "adaface", "brightness": 1.5}, r"views\.brightness"),
        ({"policy": "adaface", "hue": 0.1}, r"views\.hue"),
        ({"policy": "adaface", "photometric_probability": 0, "contrast": 0.1}, "contrast has no effect"),
        ({"policy": "flip+adaface", **NEVER}, "does nothing"),
        ({"policy": "flip", "crop_probability": 0.5}, "crop_probability has no effect with policy = 'flip'"),
        ({"policy": "none", "low_resolution_side": (0.5, 1)}, "low_resolution_side has no effect"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        Views(**options)
