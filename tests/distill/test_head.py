"""What the head does with repeated labels, in evaluation, with awkward rows, and with options that mean nothing."""

import pytest
import torch
from torch.nn import functional as F

from common.errors import UserError
from distill.centers import move_centers
from distill.head import build_head


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


@pytest.mark.parametrize(
    "section",
    [
        {"margin": "cosface", "geometry": "live"},
        {"margin": "cosface", "h": 0.5},
        {"centers": "learned", "alpha": "adaptive"},
        {"momentum": 0.5},
        {"geometry_k": 2.0},
        {"margin": "none", "m": 0.3},
    ],
)
def test_options_without_effect_are_refused(section):
    with pytest.raises((UserError, ValueError), match=r"no effect|needs margin"):
        build_head(section, 4, 3)
