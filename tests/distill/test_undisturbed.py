"""Evaluation during training leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from distill.undisturbed import part_of_rank, undisturbed


def network():
    net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    net.train()
    net[2].eval()  # a frozen part stays frozen
    return net


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_random_numbers_are_restored_also_after_an_error(fails):
    net = network()
    draws = lambda: (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: E731
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    expected = draws()
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(0)
    statistics = net[2].running_mean.clone()
    try:
        with undisturbed(net):
            assert not net.training
            assert not torch.is_grad_enabled()
            net(torch.randn(8, 4))
            draws()
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert [part.training for part in net] == [True, True, False]
    assert net.training
    assert torch.is_grad_enabled()
    assert torch.equal(statistics, net[2].running_mean)
    assert draws() == expected


@pytest.mark.parametrize(("total", "ranks"), [(10, 1), (10, 3), (2, 4), (6000, 8)])
def test_the_ranks_parts_join_to_all_in_order(total, ranks):
    whole = list(range(total))
    assert [face for rank in range(ranks) for face in whole[part_of_rank(total, rank, ranks)]] == whole
