"""Softmax over class centres in blocks, in bfloat16, on a sample: against autograd over the plain formula."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.head import columns
from distill.head.class_shard import ClassShard
from distill.head.head import Head, build_head
from distill.head.sampling import sample_classes

MARGINS = ("none", "cosface", "arcface", "adaface")
ROWS, CLASSES, DIM, S, M = 6, 23, 12, 16.0, 0.4


@pytest.fixture(params=["kept", "formed twice"])
def in_blocks(request, monkeypatch) -> dict:
    """Four blocks of columns, with logits kept and not; the [head] keys that say so."""
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 7)
    return {"logits_mib": 1 if request.param == "kept" else 0}


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """f_s, f_t, labels, a class among them twice."""
    generator = torch.Generator().manual_seed(5)
    f_s, f_t = (torch.randn(ROWS, DIM, generator=generator, dtype=dtype) * 9 for _ in range(2))
    return f_s.requires_grad_(), f_t, torch.tensor([0, 22, 8, 1, 8, 7])


def plain_loss(
    head: Head, f_s: Tensor, weight: Tensor, labels: Tensor, classes: Tensor, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy over some classes by the formulas of docs/method.md."""
    s, m = head.config.s, head.config.m
    cos = F.normalize(f_s) @ F.normalize(weight[classes]).T
    theta = torch.acos(cos)
    match head.config.margin:
        case "none":
            moved = cos
        case "cosface":
            moved = cos - m
        case "arcface":
            moved = torch.cos(theta + m)
        case "adaface":
            scaler = (0.333 * head.norms.standardise(f_s.detach().norm(dim=1)))[:, None]
            moved = torch.cos(theta - m * scaler) - (m + m * scaler)
    own = labels[:, None] == classes
    return F.cross_entropy(s * torch.where(own, moved, cos), own.float().argmax(1), reduction=reduction)


def section(margin: str, centers: str) -> dict:
    return {"margin": margin, "centers": centers, "s": S} | ({} if margin == "none" else {"m": M})


@pytest.mark.parametrize("margin", MARGINS)
def test_loss_and_gradients_equal_float64_autograd(margin, in_blocks):
    torch.manual_seed(0)
    head = build_head(section(margin, "learned") | in_blocks, CLASSES, DIM).double()
    f_s, _, labels = batch()
    weight = head.centers.weight
    loss = head(f_s, None, labels, 0.0).loss
    plain = plain_loss(head, f_s, weight, labels, torch.arange(CLASSES))
    torch.testing.assert_close(loss, plain, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(x, (f_s, weight)) for x in (loss, plain))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("centers", ["distilled", "learned"])
def test_a_sample_of_classes_gives_the_loss_and_gradients_over_them_alone(margin, centers, in_blocks):
    torch.manual_seed(0)
    options = in_blocks | {"sample_rate": 0.6}
    head = build_head(section(margin, centers) | options, CLASSES, DIM, seed=9).double()
    f_s, f_t, labels = batch()
    for step in (0, 1):
        classes = sample_classes(labels, ClassShard(CLASSES), 14, 9, step).rows
        loss = head(f_s, f_t if centers == "distilled" else None, labels, 0.0, step=step).loss
        weight = head.centers.weight.detach().clone().requires_grad_()  # after distilled ones moved
        plain = plain_loss(head, f_s, weight, labels, classes)
        torch.testing.assert_close(loss, plain, rtol=1e-12, atol=0)
        gradient_s, gradient_c = torch.autograd.grad(plain, (f_s, weight))
        torch.testing.assert_close(
            torch.autograd.grad(loss, f_s, retain_graph=False)[0], gradient_s, rtol=1e-9, atol=1e-12
        )
        if centers == "learned":
            loss = head(f_s, None, labels, 0.0, step=step).loss
            loss.backward()
            if margin != "adaface":  # whose statistics have moved on
                torch.testing.assert_close(head.centers.active.grad, gradient_c[classes], rtol=1e-9, atol=1e-12)
            assert head.centers.active.shape == (14, DIM)
            head.zero_grad()


def test_evaluation_mode_runs_over_all_classes():
    head, whole = (build_head(section("none", "learned") | rate, CLASSES, DIM) for rate in ({"sample_rate": 0.6}, {}))
    head.centers.load_state_dict(whole.centers.state_dict(), strict=False)
    f_s, _, labels = batch(torch.float32)
    assert head.eval()(f_s, None, labels, 0.0).loss == whole(f_s, None, labels, 0.0).loss


@pytest.mark.parametrize("centers", ["distilled", "learned"])
def test_bfloat16_products_stay_close_to_float32(centers, in_blocks):
    """Within a few times the rounding of bfloat16, 2**-9, of the gradient's length."""
    gradients = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        head = build_head(section("arcface", centers) | in_blocks | {"precision": precision}, CLASSES, DIM)
        f_s, f_t, labels = batch(torch.float32)
        head(f_s, None if centers == "learned" else f_t, labels, 0.0).loss.backward()
        gradients.append(torch.cat([x.flatten() for x in (f_s.grad, *(p.grad for p in head.parameters()))]))
    exact, low = gradients
    assert 0 < (low - exact).norm() / exact.norm() < 2**-6


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_cosines_beyond_adafaces_limit_pass_no_gradient(in_blocks, dtype, rtol):
    """A row along another class's centre: its cosine is clamped, in whichever block it lies."""
    scale = 30.0
    for other in (0, 8, 22):
        head = build_head(section("adaface", "frozen") | in_blocks | {"s": scale}, CLASSES, DIM).to(dtype)
        f_s = (head.centers.weight[other : other + 1] * 1e3).requires_grad_()
        labels = torch.tensor([3])
        head(f_s, None, labels, 0.0).loss.backward()
        x = F.normalize(f_s.detach()).requires_grad_()
        unit = F.normalize(head.centers.weight)
        cos = (x @ unit.T).clamp(-0.999, 0.999)
        scaler = (0.333 * head.norms.standardise(f_s.detach().norm(dim=1)))[:, None]
        moved = torch.cos(torch.acos(cos) - M * scaler) - (M + M * scaler)
        own = F.one_hot(labels, CLASSES).bool()
        F.cross_entropy(scale * torch.where(own, moved, cos), labels).backward()
        tangential = (x.grad - (x.grad * x).sum() * x) / f_s.detach().norm()
        torch.testing.assert_close(f_s.grad, tangential.detach(), rtol=rtol, atol=rtol * 1e-3)


def test_a_second_backward_pass_is_refused_instead_of_wrong():
    head = build_head(section("none", "frozen"), CLASSES, DIM)
    f_s, _, labels = batch(torch.float32)
    loss = head(f_s, None, labels, 0.0).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass"):
        loss.backward()


def test_the_scale_of_the_loss_reaches_every_gradient():
    """As gradient accumulation and loss scaling use it."""
    gradients = []
    for scale in (1.0, 0.25):
        torch.manual_seed(0)
        head = build_head(section("cosface", "learned"), CLASSES, DIM)
        f_s, _, labels = batch(torch.float32)
        (scale * head(f_s, None, labels, 0.0).loss).backward()
        gradients.append((f_s.grad, head.centers.weight.grad))
    for whole, quarter in zip(*gradients, strict=True):
        assert torch.equal(whole * 0.25, quarter)
