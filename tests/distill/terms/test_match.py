"""Terms that match embeddings, against the formulas written out in float64."""

import pytest
import torch
from torch import Tensor

from common.config import TermsConfig
from distill.terms import build_terms

ROWS, DIM = 6, 8


def embeddings() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    f_s, f_t = (torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    return (5 * f_s).requires_grad_(), f_t


def by_hand(kind: str, f_s: Tensor, f_t: Tensor) -> Tensor:
    losses = []
    for student, teacher in zip(f_s, f_t, strict=True):
        direction = teacher / teacher.norm()
        if kind == "cosine":
            losses.append(1 - student @ direction / student.norm())
        else:
            losses.append(sum((a - DIM**0.5 * b) ** 2 for a, b in zip(student, direction, strict=True)) / DIM)
    return sum(losses) / ROWS


@pytest.mark.parametrize("kind", ["cosine", "mse"])
def test_value_and_gradient_are_those_of_the_formula(kind):
    f_s, f_t = embeddings()
    terms = build_terms(TermsConfig(match=kind, match_weight=2.5), split=False)
    loss, stats = terms(f_s, f_t, torch.zeros(ROWS, dtype=torch.int64))
    expected = by_hand(kind, f_s, f_t)
    torch.testing.assert_close(loss, 2.5 * expected)
    torch.testing.assert_close(stats["match"], expected)
    (gradient,) = torch.autograd.grad(loss, f_s)
    torch.testing.assert_close(gradient, torch.autograd.grad(2.5 * expected, f_s)[0])


def test_no_term_is_on_by_default():
    assert build_terms(TermsConfig(), split=False) is None


def test_a_weight_without_its_term_is_refused():
    with pytest.raises(ValueError, match="match_weight has no effect with match = 'off'"):
        TermsConfig(match_weight=2.0)
