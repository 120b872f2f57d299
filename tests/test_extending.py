"""What docs/extending.md promises: a new member of a family that is named but not finished is noticed."""

from typing import get_args

import numpy as np
import pytest
import torch

from common.config import HeadConfig, ViewsConfig
from common.faces import Views, pixel_digest
from common.models.presets import _BY_SHA256
from distill.head import build_head

MARGINS = get_args(HeadConfig.model_fields["margin"].annotation)
POLICIES = get_args(ViewsConfig.model_fields["policy"].annotation)


@pytest.mark.parametrize("margin", MARGINS)
def test_the_slope_of_every_margin_is_the_derivative_of_its_value(margin):
    head = build_head({"margin": margin}, 5, 4)
    cos = torch.linspace(-0.9, 0.9, 37, dtype=torch.float64, requires_grad=True)
    scaler = torch.full_like(cos, 0.3).detach() if margin == "adaface" else None
    value, slope = head._margin(scaler)(cos)
    (derivative,) = torch.autograd.grad(value.sum(), cos)
    torch.testing.assert_close(slope, derivative, rtol=1e-9, atol=1e-9)


def test_no_two_margins_are_the_same():
    cos = torch.linspace(-0.9, 0.9, 5, dtype=torch.float64)
    values = {tuple(build_head({"margin": margin}, 5, 4)._margin(cos * 0.3)(cos)[0].tolist()) for margin in MARGINS}
    assert len(values) == len(MARGINS)


def test_no_two_view_policies_show_the_same():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    shown = {policy: Views(policy) for policy in POLICIES}
    pictures = {
        frozenset(
            pixel_digest(views.render(rgb, sample, view, other=rgb[::-1]))
            for sample in range(8)
            for view in range(views.count)
        )
        for views in shown.values()
    }
    assert len(pictures) == len(POLICIES)


def test_every_file_known_by_its_digest_has_a_whole_contract():
    for digest, preset in _BY_SHA256.items():
        assert len(bytes.fromhex(digest)) == 32
        assert preset.missing() == [], digest
