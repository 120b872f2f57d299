"""What the head does with repeated labels, in evaluation, with awkward rows, and with options that mean nothing."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from common.errors import UserError
from distill.head.centers import move_centers
from distill.head.head import build_head
from distill.histograms import names as histograms_names


def test_repeated_labels_take_the_mean_of_their_updates_in_any_order():
    torch.manual_seed(0)
    weight, labels, alpha = torch.randn(4, 6), torch.tensor([2, 0, 2, 2]), torch.rand(4)
    unit_t = F.normalize(torch.randn(4, 6))
    wanted = weight.clone()
    for c in (0, 2):
        rows = [alpha[i] * weight[c] + (1 - alpha[i]) * unit_t[i] for i in range(4) if labels[i] == c]
        wanted[c] = torch.stack(rows).mean(0)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        moved = weight.clone()
        move_centers(moved, labels[order], alpha[order], unit_t[order])
        torch.testing.assert_close(moved, wanted)


class Sizes(TorchDispatchMode):
    """The largest number of elements of what operations give."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.largest = max([self.largest, *(x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor))])
        return result


def test_moving_centres_takes_memory_of_the_batch_and_not_of_its_square():
    rows, dim = 600, 4
    labels, unit_t = torch.randint(50, (rows,)), F.normalize(torch.randn(rows, dim))
    with Sizes() as sizes:
        move_centers(torch.randn(50, dim), labels, torch.rand(rows), unit_t)
    assert sizes.largest <= rows * (dim + 1)


def test_evaluation_mode_moves_nothing():
    head = build_head({"margin": "adaface"}, 5, 8).eval()
    before = {k: v.clone() for k, v in head.state_dict().items()}
    head(torch.randn(3, 8) * 20, torch.randn(3, 8), torch.tensor([0, 1, 2]), 1.0)
    for key, value in head.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_centres_written_from_outside_are_noticed():
    head = build_head({"margin": "none", "centers": "frozen"}, 5, 8)
    f_s, labels = torch.randn(3, 8), torch.tensor([0, 1, 2])
    head(f_s, None, labels, 0.0)
    with torch.no_grad():
        head.centers.weight.copy_(torch.eye(8)[:5])
    fresh = build_head({"margin": "none", "centers": "frozen"}, 5, 8)
    fresh.load_state_dict(head.state_dict())
    assert head(f_s, None, labels, 0.0).loss == fresh(f_s, None, labels, 0.0).loss


def test_awkward_rows_give_finite_gradients():
    """A zero embedding, cosines of exactly +-1, and a single row, all of which break the reference."""
    for margin in ("none", "cosface", "arcface", "adaface"):
        head = build_head({"margin": margin}, 4, 3)
        for f_s in (torch.tensor([[0.0, 0, 0], [1, 0, 0], [-1, 0, 0]]), torch.tensor([[1.0, 0, 0]])):
            f_s.requires_grad_()
            f_t = torch.tensor([[1.0, 0, 0]]).repeat(len(f_s), 1)
            out = head(f_s, f_t, torch.arange(len(f_s)), 0.0)
            out.loss.backward()
            assert torch.isfinite(out.loss)
            assert torch.isfinite(f_s.grad).all()
            assert all(torch.isfinite(v).all() for v in head.state_dict().values())


def test_the_cached_geometry_term_is_its_formula_in_float64():
    """Of a confidence below 0 and one above 1, too, which count as 1e-6 and 1."""
    torch.manual_seed(0)
    section = {"margin": "adaface", "centers": "frozen", "geometry": "cached", "geometry_w": 0.7, "geometry_k": 2.0}
    head = build_head(section | {"geometry_warmup": 4.0, "s": 16.0}, 9, 12).double()
    f_s, f_t = torch.randn(6, 12).double() * 5, torch.randn(6, 12).double()
    labels, confidence = torch.tensor([3, 8, 0, 3, 5, 1]), torch.tensor([0.9, 0.5, 0.7, -0.4, 1.01, 0.8])
    out = head(f_s, f_t, labels, 1.0, confidence)

    s, t, w = (x.numpy() / np.linalg.norm(x, axis=1, keepdims=True) for x in (f_s, f_t, head.centers.weight))
    trust = np.clip(confidence.double().numpy(), 1e-6, 1)
    penalty = 2.0 * np.maximum(trust - (s * t).sum(1), 0) * trust
    norms = np.linalg.norm(f_s, axis=1)
    mean, std = 20 + 0.01 * (norms.mean() - 20), 100 + 0.01 * (norms.std(ddof=1) - 100)
    scaler = np.clip(0.333 * (norms - mean) / (std + 1e-3) + 0.7 / 4 * penalty, -1, 1)
    rows, cos = np.arange(6), s @ w.T
    target = np.cos(np.arccos(cos[rows, labels]) - 0.4 * scaler) - 0.4 * (1 + scaler)
    logits = 16 * cos
    logits[rows, labels] = 16 * target
    loss = (np.log(np.exp(logits).sum(1)) - 16 * target).mean()
    assert penalty.max() > 0.5
    assert out.stats["geometry"].item() == pytest.approx(penalty.mean(), rel=1e-6)  # a float32 confidence
    np.testing.assert_allclose(out.stats["target_logit"], 16 * target, rtol=1e-6)
    assert out.loss.item() == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize(
    ("section", "k"),
    [
        ({"geometry": "live", "geometry_penalty": "standardised"}, 3.0),
        ({"geometry": "static", "geometry_k": 0.5, "geometry_threshold": 0.3}, 0.5),
        ({"geometry": "static", "geometry_threshold": 0.1, "geometry_penalty": "standardised"}, 3.0),
    ],
)
def test_standardised_and_static_geometry_terms_are_their_formulas_in_float64(section, k):
    """Over three steps, of which the last is in evaluation mode, where no statistic moves."""
    torch.manual_seed(1)
    plain = {"margin": "adaface", "centers": "frozen", "geometry_w": 0.7, "geometry_warmup": 0.0, "h": 0.4}
    head = build_head(plain | section, 9, 12).double()
    norm_mean, norm_std, mean, std = 20.0, 100.0, 0.0, 1.0
    for step in range(3):
        head.train(step < 2)
        f_s, f_t = torch.randn(40, 12).double() * 5, torch.randn(40, 12).double()
        labels = torch.randint(9, (40,))
        stats = head(f_s, f_t, labels, 1.0).stats

        s, t, w = (x.numpy() / np.linalg.norm(x, axis=1, keepdims=True) for x in (f_s, f_t, head.centers.weight))
        lam = np.clip((w[labels] * t).sum(1), 1e-6, 1)
        behind = k * np.maximum(lam - (s * t).sum(1), 0)
        penalty = np.where(lam > section.get("geometry_threshold", 0), behind, 0)
        if section["geometry"] == "live":
            penalty = behind * lam
        norms = np.linalg.norm(f_s, axis=1)
        if step < 2:
            norm_mean, norm_std = (
                norm_mean + 0.01 * (norms.mean() - norm_mean),
                norm_std + 0.01 * (norms.std(ddof=1) - norm_std),
            )
            mean, std = mean + 0.01 * (penalty.mean() - mean), std + 0.01 * (penalty.std(ddof=1) - std)
        quality = 0.4 * (norms - norm_mean) / (norm_std + 1e-3)
        term = 0.4 * (penalty - mean) / (std + 1e-3) if "geometry_penalty" in section else penalty
        scaler = np.clip(quality + 0.7 * term, -1, 1)
        assert 0 < (penalty > 0).mean() < 1
        assert stats["geometry"].item() == pytest.approx(penalty.mean(), rel=1e-6)
        assert stats["margin_scaler"].item() == pytest.approx(scaler.mean(), rel=1e-6)
        drawn = [stats[name].item() for name in histograms_names("margin_scaler")]
        np.testing.assert_allclose(drawn, np.histogram(scaler, bins=20, range=(-1, 1))[0] / 40, atol=1e-6)


@pytest.mark.parametrize(
    ("section", "given", "match"),
    [
        ({"geometry": "cached"}, {}, "geometry = 'cached' needs confidence"),
        ({"geometry": "live"}, {"confidence": torch.ones(3)}, "geometry = 'live' reads no confidence"),
        ({}, {"confidence": torch.ones(3)}, "geometry = 'off' reads no confidence"),
        ({"geometry": "cached"}, {"confidence": torch.ones(1)}, r"confidence of shape \(1,\) for 3 rows"),
        ({"geometry": "live"}, {"f_t": None}, "geometry = 'live' needs f_t"),
        ({}, {"f_t": None}, "centers = 'distilled' .* needs f_t"),
        ({}, {"labels": torch.tensor([0, -1, 2])}, r"labels -1\.\.2 for a head of 5 classes, 0\.\.4"),
        ({}, {"labels": torch.tensor([0, 5, 2])}, r"labels 0\.\.5 for a head of 5 classes"),
        ({}, {"labels": torch.tensor([0, 1])}, "2 labels for 3 rows"),
    ],
)
def test_inputs_that_are_not_the_recipes_are_refused_and_move_nothing(section, given, match):
    head = build_head(section, 5, 8)
    before = {k: v.clone() for k, v in head.state_dict().items()}
    inputs = {"f_s": torch.randn(3, 8), "f_t": torch.randn(3, 8), "labels": torch.tensor([0, 1, 2]), "epoch": 1.0}
    with pytest.raises(ValueError, match=match):
        head(**(inputs | given))
    assert all(torch.equal(v, before[k]) for k, v in head.state_dict().items())


@pytest.mark.parametrize(
    "section",
    [
        {"margin": "cosface", "geometry": "live"},
        {"margin": "cosface", "h": 0.5},
        {"centers": "learned", "alpha": "adaptive"},
        {"momentum": 0.5},
        {"geometry_k": 2.0},
        {"geometry_penalty": "standardised"},
        {"geometry": "live", "geometry_threshold": 0.4},
        {"geometry": "static", "geometry_penalty": "standardised", "geometry_k": 1.0},
        {"margin": "none", "m": 0.3},
    ],
)
def test_options_without_effect_are_refused(section):
    with pytest.raises((UserError, ValueError), match=r"no effect|needs margin"):
        build_head(section, 4, 3)
