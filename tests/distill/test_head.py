"""The head against the step-by-step numbers of the reference recipes (tests/golden/heads/README.md)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.errors import UserError
from distill.centers import move_centers
from distill.head import build_head

GOLDEN = Path(__file__).parents[1] / "golden" / "heads"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "heads_index.json").read_text())["cases"]}
MARGINS = {
    "AdaptiveAAdaFace": "adaface",
    "AdaptiveAArcFace": "arcface",
    "AdaptiveACosFace": "cosface",
    "ACosFace": "cosface",
    "ArcFace": "arcface",
    "CosFace": "cosface",
    "AdaFace": "adaface",
    "MLLoss": "none",
}
DISTILLED = [
    n
    for n, c in CASES.items()
    if not c["duplicates"] and c["kind"] in ("adaface", "adaptive", "composed", "fixed_momentum")
]
FROZEN = ["mlloss", "aml_arcface_frozen", "aml_cosface_frozen"]
LEARNED = ["arcface_sgd", "cosface_sgd", "adaface_repo_sgd", "adaface_repo_warmbuf_sgd"]


def config_of(case: dict, centers: str) -> dict:
    """The [head] section of a reference case."""
    kwargs = dict(case["kwargs"])
    config = {"margin": MARGINS[case["class"]], "centers": centers}
    config |= {key: kwargs[key] for key in ("s", "m", "h", "t_alpha") if key in kwargs}
    if config["margin"] == "none":
        config.pop("m", None)
    if centers == "distilled":
        if case["kind"] == "fixed_momentum":
            config |= {"alpha": "fixed", "momentum": float(case["name"].rsplit("momentum", 1)[1])}
        else:
            config["alpha"] = "weighted" if kwargs["adaptive_weighted_alpha"] else "adaptive"
    if kwargs.get("use_geom_margin"):
        config |= {
            "geometry": "live",
            "geometry_w": kwargs["geom_margin_w"],
            "geometry_k": kwargs["geom_margin_k"],
            "geometry_warmup": kwargs["geom_margin_warmup_epoch"],
        }
    return config


class Sequence:
    """One reference case played step by step through our head."""

    def __init__(self, name: str, centers: str) -> None:
        self.case = CASES[name]
        self.golden = np.load(GOLDEN / self.case["file"])
        self.inputs = np.load(GOLDEN / self.case["inputs"])
        start = self.golden["kernel_start"] if "kernel_start" in self.golden else self.inputs["kernel0"]
        self.head = build_head(config_of(self.case, centers), start.shape[1], start.shape[0])
        with torch.no_grad():
            self.head.centers.weight.copy_(torch.from_numpy(start.T.copy()))
        if "batch_mean0" in self.case:
            self.head.norms.mean.fill_(self.case["batch_mean0"])
            self.head.norms.std.fill_(self.case["batch_std0"])
        self.steps = len(self.inputs["labels"])

    def step(self, t: int):
        f_s = torch.from_numpy(self.inputs["f_s"][t]).requires_grad_()
        f_t = torch.from_numpy(self.inputs["f_t"][t])
        epoch = self.case.get("epochs", [0.0] * self.steps)[t]
        out = self.head(f_s, f_t, torch.from_numpy(self.inputs["labels"][t]), epoch)
        out.loss.backward()
        return out, f_s.grad.numpy()

    def check(self, t: int, out, grad: np.ndarray) -> None:
        labels = self.inputs["labels"][t]
        assert out.loss.item() == pytest.approx(float(self.golden["loss_f64"][t]), rel=2e-5, abs=2e-5)
        target = self.golden["logits"][t][np.arange(len(labels)), labels]
        np.testing.assert_allclose(out.stats["target_logit"], target, atol=2e-3)
        largest = np.abs(self.golden["grad_s"][t]).max()
        np.testing.assert_allclose(grad, self.golden["grad_s"][t], atol=1e-3 * largest)


@pytest.mark.parametrize("name", DISTILLED)
def test_distilled_centres_follow_the_reference(name):
    seq = Sequence(name, "distilled")
    for t in range(seq.steps):
        out, grad = seq.step(t)
        seq.check(t, out, grad)
        weight = seq.head.centers.weight
        np.testing.assert_allclose(weight.norm(dim=1), seq.golden["kernel_norms"][t], atol=1e-6)
        for stat in ("cos_st", "lam", "alpha"):
            assert out.stats[stat].item() == pytest.approx(float(seq.golden[f"{stat}_mean"][t]), abs=1e-6)
        if seq.head.config.margin == "adaface":
            assert seq.head.norms.mean.item() == pytest.approx(seq.golden["batch_mean"][t].item(), rel=1e-6)
            assert seq.head.norms.std.item() == pytest.approx(seq.golden["batch_std"][t].item(), rel=1e-6)
            scaler = seq.golden["margin_scaler"][t].mean()
            assert out.stats["margin_scaler"].item() == pytest.approx(scaler, abs=2e-6)
    np.testing.assert_allclose(seq.head.centers.weight.T, seq.golden["kernel_final"], atol=1e-6)


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_centres_stay_and_give_the_reference_loss(name):
    seq = Sequence(name, "frozen")
    before = seq.head.centers.weight.clone()
    for t in range(seq.steps):
        seq.check(t, *seq.step(t))
    assert torch.equal(seq.head.centers.weight, before)
    assert not list(seq.head.parameters())


@pytest.mark.parametrize("name", LEARNED)
def test_learned_centres_follow_the_reference_under_sgd(name):
    seq = Sequence(name, "learned")
    optimiser = torch.optim.SGD(seq.head.parameters(), **seq.case["sgd"])
    for t in range(seq.steps):
        optimiser.zero_grad()
        out, grad = seq.step(t)
        if t == 0:
            gradient = seq.head.centers.weight.grad.T.numpy()
            wanted = seq.golden["grad_kernel_step0"]
            np.testing.assert_allclose(gradient, wanted, atol=1e-3 * np.abs(wanted).max())
        optimiser.step()
        seq.check(t, out, grad)
        np.testing.assert_allclose(seq.head.centers.weight.detach().T, seq.golden["kernel"][t], atol=2e-5)


def test_gradient_equals_autograd_in_float64():
    """The hand-written gradient against autograd over the plain formula, every margin, centres learned."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 3, 3, 1, 5])
    for margin in ("none", "cosface", "arcface", "adaface"):
        head = build_head({"margin": margin, "centers": "learned", "s": 16.0}, 7, 12).double()
        f_s = (torch.randn(5, 12, dtype=torch.float64) * 9).requires_grad_()
        weight = head.centers.weight
        ours = torch.autograd.grad(head(f_s, None, labels, 0.0).loss, (f_s, weight))
        cos = F.normalize(f_s) @ F.normalize(weight).T
        theta, m = torch.acos(cos), 0.4
        moved = {"none": cos, "cosface": cos - m, "arcface": torch.cos(theta + m)}
        if margin == "adaface":
            scaler = (0.333 * head.norms.standardise(f_s.detach().norm(dim=1)))[:, None]
            moved["adaface"] = torch.cos(theta - m * scaler) - (m + m * scaler)
        logits = 16.0 * torch.where(F.one_hot(labels, 7).bool(), moved[margin], cos)
        plain = torch.autograd.grad(F.cross_entropy(logits, labels), (f_s, weight))
        for a, b in zip(ours, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


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
