import numpy as np
import pytest
import torch

from distill.histograms import BINS, edges, histograms, is_share, names, shares


def test_shares_are_numpys_histogram_and_means_of_parts_are_those_of_the_whole():
    values = torch.cat([torch.randn(397).clamp(-1, 1), torch.tensor([-1.0, 1.0, 0.0])])
    expected = np.histogram(values.double().numpy(), bins=np.array(edges()))[0] / 400
    whole, halves = shares("x", values), [shares("x", part) for part in values.chunk(2)]
    assert list(whole) == names("x")
    np.testing.assert_allclose(torch.stack(list(whole.values())), expected, atol=1e-6)
    for name, share in whole.items():
        assert share.item() == pytest.approx(sum(half[name].item() for half in halves) / 2, abs=1e-6)


def test_a_histogram_comes_back_from_the_numbers_of_a_line_if_it_is_whole():
    line = {"loss": 3.0, "lfw.accuracy": 0.5, **dict.fromkeys(names("scaler"), 1 / BINS)}
    assert histograms(line) == {"scaler": [1 / BINS] * BINS}
    assert histograms({**line, "scaler:03": None}) == {}
    assert [name for name in line if not is_share(name)] == ["loss", "lfw.accuracy"]
