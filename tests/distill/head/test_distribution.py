"""The teacher's distribution over classes against autograd over the whole matrix of logits, in float64."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from common.config import TermsConfig
from distill.head import columns
from distill.head.distribution import _BITS
from distill.head.head import Head, build_head

ROWS, CLASSES, DIM, S = 7, 40, 8, 12.0
KD = {"logits": "kd", "temperature": 3.0}
GKD = {"logits": "gkd", "temperature": 2.0, "primary_mass": 0.8, "primary_weight": 5.0, "binary_weight": 2.0}


def taught(terms: dict, centers: str = "frozen", **section) -> tuple[Head, Tensor]:
    torch.manual_seed(3)
    head = build_head({"margin": "cosface", "m": 0.2, "s": S, "centers": centers, **section}, CLASSES, DIM).double()
    with torch.no_grad():
        head.centers.weight.copy_(torch.randn(CLASSES, DIM))
    targets = torch.randn(CLASSES, DIM, dtype=torch.float64)
    head.teach(TermsConfig.model_validate(terms), targets)
    return head.double(), targets


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    f_s, f_t = (torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
    return (4 * f_s).requires_grad_(), f_t, torch.randint(CLASSES, (ROWS,), generator=generator)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum()


def by_hand(terms: dict, f_s: Tensor, f_t: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Classes sorted by the teacher's probability, row by row."""
    t = terms["temperature"]
    student = (S / t * F.normalize(f_s) @ F.normalize(weight).T).softmax(1)
    teacher = (S / t * F.normalize(f_t) @ F.normalize(targets).T).softmax(1)
    losses = []
    for q, p in zip(student, teacher, strict=True):
        if terms["logits"] == "kd":
            losses.append(divergence(p, q))
            continue
        order = p.argsort(descending=True)
        size = int((p[order].cumsum(0) < terms["primary_mass"]).sum()) + 1
        assert 1 < size < len(p) - 1
        group, rest = order[:size], order[size:]
        primary = divergence(p[group] / p[group].sum(), q[group] / q[group].sum())
        shares = [torch.stack([x[group].sum(), x[rest].sum()]) for x in (p, q)]
        losses.append(terms["primary_weight"] * primary + terms["binary_weight"] * divergence(*shares))
    return t**2 * torch.stack(losses).mean()


@pytest.mark.parametrize("width", [3, CLASSES])
@pytest.mark.parametrize("terms", [KD, GKD], ids=["kd", "gkd"])
@pytest.mark.parametrize("centers", ["frozen", "learned"])
def test_value_and_gradients_are_those_of_the_formula(terms, centers, width, monkeypatch):
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: width)
    head, targets = taught({**terms, "logits_weight": 1.5}, centers)
    f_s, f_t, labels = batch()
    loss, stats = head(f_s, f_t, labels, 0.0)
    weight = head.centers.weight.detach().clone().requires_grad_()
    expected = by_hand(terms, f_s, f_t, weight, targets)
    torch.testing.assert_close(stats["logits"], expected.detach())
    torch.testing.assert_close(loss.detach(), stats["margin_loss"] + 1.5 * stats["logits"])

    alone = build_head({"margin": "cosface", "m": 0.2, "s": S, "centers": centers}, CLASSES, DIM).double()
    alone.load_state_dict(head.state_dict())
    wanted = [f_s, head.centers.weight] if centers == "learned" else [f_s]
    found = torch.autograd.grad(loss, wanted)
    margin = torch.autograd.grad(alone(f_s, f_t, labels, 0.0).loss, [f_s, *alone.parameters()])
    term = torch.autograd.grad(1.5 * expected, [f_s, weight][: len(wanted)])
    for gradient, a, b in zip(found, margin, term, strict=True):
        torch.testing.assert_close(gradient, a + b)


def test_a_group_ends_between_classes_that_are_close_to_each_other():
    """Many of them in one interval of the coarse histogram."""
    head, _ = taught(GKD)
    targets = torch.ones(CLASSES, DIM) + 1e-3 * torch.randn(CLASSES, DIM)
    head.teach(TermsConfig.model_validate(GKD), targets.double())
    f_s, f_t, labels = batch()
    _, stats = head.double()(f_s, f_t, labels, 0.0)
    expected = by_hand(GKD, f_s, f_t, head.centers.weight, targets.double())
    torch.testing.assert_close(stats["logits"], expected.detach(), rtol=1e-9, atol=0.0)


def test_a_sample_of_classes_is_the_whole_of_both_distributions():
    head, targets = taught(KD, "learned", sample_rate=0.5)
    f_s, f_t, labels = batch()
    _, stats = head(f_s, f_t, labels, 0.0, step=4)
    rows = head._sample(labels, 4).rows
    expected = by_hand(KD, f_s, f_t, head.centers.weight.detach()[rows], targets[rows])
    torch.testing.assert_close(stats["logits"], expected.detach())


def test_a_group_of_all_classes_is_plain_distillation():
    f_s, f_t, labels = batch()
    whole = {**GKD, "primary_mass": 1.0, "primary_weight": 1.0}
    plain = {"logits": "kd", "temperature": GKD["temperature"]}
    found = [head(f_s, f_t, labels, 0.0).stats["logits"] for head in (taught(whole)[0], taught(plain)[0])]
    torch.testing.assert_close(*found)


def test_float32_follows_float64_also_where_logits_are_far_apart():
    f_s, f_t, labels = batch()
    results = []
    for dtype in (torch.float64, torch.float32):
        head, _ = taught({**GKD, "temperature": 0.25})
        given = f_s.detach().to(dtype).requires_grad_()
        loss, stats = head.to(dtype)(given, f_t.to(dtype), labels, 0.0)
        loss.backward()
        results.append((stats["logits"].double(), given.grad.double()))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-4)


def test_the_teachers_centres_are_in_no_saved_state():
    head, _ = taught(KD)
    assert (
        head.state_dict().keys()
        == build_head({"margin": "cosface", "centers": "frozen"}, CLASSES, DIM).state_dict().keys()
    )
    assert 2 / 4**_BITS < 1e-6
