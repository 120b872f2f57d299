import numpy as np
import pytest

from common.errors import ConfigError
from common.faces.philox import four_words, philox, words
from common.faces.views import Views, pixel_digest, view_numbers


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_equals_the_papers_known_answers(counter, key, expected):
    got = philox(np.array(counter, np.uint64), key)
    assert " ".join(f"{int(w):08x}" for w in got) == expected


def test_words_do_not_depend_on_how_many_are_asked_for():
    together = words(7, 1, np.arange(100), 3)
    alone = np.stack([words(7, 1, i, 3) for i in range(100)])
    assert np.array_equal(together, alone)


def test_words_of_one_position_are_the_same_without_numpy():
    for position in ((0, 0, 0, 0), (2**64 - 1, 4, 2**64 - 1, 2**32 - 1), (2**40 + 3, 4, 17, 95), (5, 1, 2**33, 2)):
        assert four_words(*position) == tuple(words(*position).tolist())


def test_streams_seeds_and_positions_all_give_other_words():
    draws = [words(*a).tobytes() for a in ((0, 1, 5, 0), (1, 1, 5, 0), (0, 2, 5, 0), (0, 1, 6, 0), (0, 1, 5, 1))]
    draws.append(words(2**32, 1, 5, 0).tobytes())
    assert len(set(draws)) == len(draws)


def test_flip_mirrors_view_one_and_leaves_the_input_alone():
    rgb = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    before = rgb.copy()
    views = Views("flip")
    assert np.array_equal(views.render(rgb, 3, 0), before)
    assert np.array_equal(views.render(rgb, 3, 1), before[:, ::-1])
    assert np.array_equal(views.render(views.render(rgb, 3, 1), 3, 1), before)
    assert np.array_equal(rgb, before)
    with pytest.raises(IndexError):
        views.render(rgb, 3, 2)


def test_pixel_digest_is_of_the_bytes_in_row_order():
    rgb = np.arange(112 * 112 * 3, dtype=np.uint8).reshape(112, 112, 3)
    assert pixel_digest(rgb[:, ::-1]) == pixel_digest(rgb[:, ::-1].copy()) != pixel_digest(rgb)


@pytest.mark.parametrize(("policy", "count"), [("flip", 3), ("none", 2), ("mirror", None)])
def test_views_that_do_not_exist_are_refused(policy, count):
    with pytest.raises(ConfigError, match="views"):
        Views(policy, 0, count)


def test_random_views_are_even_and_differ_between_epochs():
    samples = np.arange(20_000)
    first, second = (view_numbers(samples, epoch, views_seed=5, train_seed=1, count=2) for epoch in (0, 1))
    assert abs(first.mean() - 0.5) < 0.02
    assert 0.45 < (first != second).mean() < 0.55
    assert np.array_equal(view_numbers(samples[::-1], 0, 5, 1, 2), first[::-1])


@pytest.mark.parametrize("count", [2, 3, 7])
def test_cycle_shows_every_view_once_in_count_epochs(count):
    shown = np.stack([view_numbers(np.arange(500), e, 1, 0, count, "cycle") for e in range(count)])
    assert np.array_equal(np.sort(shown, 0), np.tile(np.arange(count)[:, None], 500))
    assert len(set(shown[0])) == count


@pytest.mark.parametrize("order", ["random", "cycle"])
def test_each_seed_alone_gives_an_independent_choice_of_views(order):
    samples = np.arange(20_000)
    draws = [
        view_numbers(samples, 4, views_seed, train_seed, 2, order)
        for views_seed, train_seed in ((0, 0), (1, 0), (0, 1), (1, 1), (2**63 - 1, 0), (0, 2**63 - 1))
    ]
    agreement = np.array([[(a == b).mean() for b in draws] for a in draws])
    off_diagonal = agreement[~np.eye(len(draws), dtype=bool)]
    assert (np.abs(off_diagonal - 0.5) < 0.02).all()  # 0.0035 is one standard deviation


def test_draws_are_pinned():
    """Changing these numbers would silently unbind every cache and run made before."""
    assert view_numbers(np.arange(16), 2, 3, 7, 2).tolist() == PINNED_VIEWS


PINNED_VIEWS = [1, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("policy", ["none", "flip", "adaface", "flip+adaface", "randaugment", "flip+randaugment"])
def test_a_view_rendered_in_place_is_the_view(policy):
    """Of every width, since OpenCV is not said to mirror in place."""
    views = Views(policy, seed=3, count=None if policy in ("none", "flip") else 4)
    for width in range(20, 131):
        rgb = np.random.default_rng(width).integers(0, 256, (7 + width % 3, width, 3), np.uint8)
        for view in range(views.count):
            place = rgb.copy()
            assert np.array_equal(views.render(place, 5, view, place), views.render(rgb, 5, view))
            assert np.array_equal(views.render(rgb, 5, view, np.empty((3, 3, 3), np.uint8)), views.render(rgb, 5, view))
