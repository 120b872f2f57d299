"""Which classes a step of Partial FC takes."""

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from distill.head.head import build_head
from distill.head.sampling import sample_classes

LABELS = torch.tensor([7, 3, 3, 90, 0])


def test_a_sample_has_its_size_every_class_of_the_batch_and_none_twice():
    for step in range(50):
        sample = sample_classes(LABELS, 91, 20, 4, step)
        assert len(sample) == 20
        assert (sample[1:] > sample[:-1]).all()
        assert np.isin(LABELS, sample).all()


def test_a_batch_of_more_classes_than_the_sample_takes_them_all_and_no_others():
    assert sample_classes(LABELS, 91, 2, 4, 0).tolist() == [0, 3, 7, 90]


def test_a_sample_is_a_function_of_seed_and_step():
    first = sample_classes(LABELS, 91, 20, 4, 5)
    assert torch.equal(first, sample_classes(LABELS.flip(0), 91, 20, 4, 5))
    assert not torch.equal(first, sample_classes(LABELS, 91, 20, 4, 6))
    assert not torch.equal(first, sample_classes(LABELS, 91, 20, 3, 5))


def test_other_classes_are_taken_equally_often():
    """16 of 87 in each of 400 steps: 73.6 times each, with a standard deviation of 7.7."""
    taken = torch.zeros(91)
    for step in range(400):
        taken[sample_classes(LABELS, 91, 20, 4, step)] += 1
    others = taken[np.setdiff1d(np.arange(91), LABELS)]
    assert (others - 400 * 16 / 87).abs().max() < 4.5 * 7.7


def test_a_rate_that_leaves_no_class_out_is_refused():
    with pytest.raises(ConfigError, match=r"head\.sample_rate = 0.999 has no effect: it takes all 91 classes"):
        build_head({"sample_rate": 0.999}, 91, 8)
