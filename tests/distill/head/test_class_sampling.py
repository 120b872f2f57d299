"""Which classes a step of Partial FC takes."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import ConfigError
from common.faces import words
from common.faces.philox import signed_words
from distill.head.class_order import ClassOrder
from distill.head.class_shard import ClassShard
from distill.head.head import build_head
from distill.head.sampling import Sample, sample_classes

LABELS = torch.tensor([7, 3, 3, 90, 0])
ALL = ClassShard(91)


def draw(labels: Tensor = LABELS, seed: int = 4, step: int = 0, size: int = 20, shard: ClassShard = ALL) -> Sample:
    return sample_classes(labels, shard, size, seed, step)


def test_words_of_a_device_are_those_of_the_host():
    blocks = torch.arange(100)
    of_device = torch.stack(signed_words(2**63 - 5, 5, blocks, torch.tensor(2**32 - 1)), 1)
    assert np.array_equal(of_device, words(2**63 - 5, 5, blocks.numpy(), 2**32 - 1))


@pytest.mark.parametrize("classes", [1, 2, 3, 9, 91, 100, 101, 85_742])
def test_an_order_has_every_number_once_and_knows_their_places(classes):
    order = ClassOrder(classes, 3, 8, torch.device("cpu"))
    numbers = order.first(len(order))
    assert torch.equal(numbers.sort()[0], torch.arange(classes + order.spare))
    assert order.spare**2 <= 2 * classes
    assert torch.equal(order.places(numbers), torch.arange(len(order)))


def test_a_sample_has_its_size_every_class_of_the_batch_in_its_column_and_none_twice():
    for step in range(50):
        rows, columns, filler = draw(step=step)
        assert len(rows) == len(rows.unique()) == 20
        assert filler is None
        assert rows.min() >= 0
        assert rows.max() < 91
        assert torch.equal(rows[columns], LABELS)


@pytest.mark.parametrize(("size", "taken"), [(2, 5), (5, 5), (6, 6), (90, 90)])
def test_a_sample_has_room_for_as_many_classes_as_the_batch_has_rows(size, taken):
    for labels in (LABELS, torch.full((5,), 90), torch.arange(5)):
        rows, columns, _ = draw(labels, size=size)
        assert len(rows.unique()) == taken
        assert torch.equal(rows[columns], labels)


def test_a_sample_is_a_function_of_seed_step_and_classes_of_the_batch():
    first = draw(step=5).rows.sort()[0]
    assert torch.equal(first, draw(LABELS.flip(0), step=torch.tensor(5)).rows.sort()[0])
    assert torch.equal(first, draw(torch.tensor([0, 0, 90, 3, 7, 7, 7]), step=5).rows.sort()[0])
    assert not torch.equal(first, draw(step=6).rows.sort()[0])
    assert not torch.equal(first, draw(step=5, seed=3).rows.sort()[0])


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_of_a_split_sample_are_the_whole_one_in_shapes_that_never_change(parts):
    widths = set()
    for step in range(20):
        labels = torch.randint(91, (6,), generator=torch.Generator().manual_seed(step))
        found = []
        for part in range(parts):
            shard = ClassShard(91, part, parts)
            rows, columns, filler = draw(labels, step=step, shard=shard)
            assert filler is not None
            assert (rows[filler] == rows[0]).all()
            assert not filler[: (~filler).sum()].any()
            found += (rows[~filler] + shard.first).tolist()
            local, held = shard.locate(labels)
            assert torch.equal(rows[columns][held], local[held])
            assert not filler[columns][held].any()
            widths.add((part, len(rows)))
        assert sorted(found) == draw(labels, step=step).rows.sort()[0].tolist()
    assert len(widths) == parts


def test_a_part_with_no_class_of_the_sample_is_all_fillers():
    found = [draw(torch.tensor([90]), size=1, shard=ClassShard(91, part, 7)) for part in range(7)]
    assert [int((~sample.filler).sum()) for sample in found] == [0] * 6 + [1]
    assert all((sample.rows[sample.filler] == sample.rows[0]).all() for sample in found)


def test_a_part_has_columns_for_a_whole_batch_of_its_own_classes():
    shard = ClassShard(2_000, 0, 8)
    rows, columns, filler = draw(torch.arange(120), size=200, shard=shard)
    assert torch.equal(rows[columns], torch.arange(120))
    assert len(rows) < len(shard)
    assert not filler[columns].any()


@pytest.mark.parametrize(("classes", "size"), [(5, 3), (11, 4), pytest.param(91, 20, marks=pytest.mark.slow)])
def test_other_classes_are_taken_equally_often_alone_and_in_pairs(classes, size):
    """Against the counts of sampling without replacement, within 4.5 standard deviations."""
    steps, label = 1_500, 2
    taken = torch.zeros(steps, classes)
    for step in range(steps):
        taken[step, draw(torch.tensor([label]), step=step, size=size, shard=ClassShard(classes)).rows] = 1
    others = taken[:, [c for c in range(classes) if c != label]]
    together = others.T @ others / steps
    n, k = classes - 1, size - 1
    once, twice = k / n, k * (k - 1) / (n * (n - 1))
    assert (together.diagonal() - once).abs().max() < 4.5 * (once * (1 - once) / steps) ** 0.5
    pairs = torch.stack([together[i, j] for i, j in itertools.combinations(range(n), 2)])
    assert (pairs - twice).abs().max() < 4.5 * (twice * (1 - twice) / steps) ** 0.5


def test_samples_of_neighbouring_steps_have_no_more_in_common_than_chance():
    """Of 200 of 2,000: 20 classes in common, with a standard deviation of 4.0; the mean of 300 has one of 0.23."""
    rows = [draw(torch.tensor([5]), step=step, size=200, shard=ClassShard(2_000)).rows for step in range(301)]
    common = [len(np.intersect1d(a, b)) for a, b in itertools.pairwise(rows)]
    assert abs(np.mean(common) - (1 + 199 * 199 / 1_999)) < 4.5 * 0.23


def test_a_rate_that_leaves_no_class_out_is_refused():
    with pytest.raises(ConfigError, match=r"head\.sample_rate = 0.999 has no effect: it takes all 91 classes"):
        build_head({"sample_rate": 0.999}, 91, 8)
