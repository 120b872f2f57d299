import pytest
import torch

from common.config import TrainConfig
from distill.schedule import peak_rate, rate_factor


def test_step_schedule_is_the_references():
    """Its rule, written out once more: quadratic from a quarter, then a tenth one epoch before each milestone."""
    train, steps = TrainConfig(), 10
    factors = [rate_factor(train, step, steps) for step in range(26 * steps)]
    assert factors[0] == 0.25
    assert factors[5] == pytest.approx((1.5 / 2) ** 2)
    assert factors[10:70] == [1.0] * 60
    for epoch, expected in ((7, 0.1), (13, 0.01), (19, 1e-3), (24, 1e-4), (25, 1e-4)):
        assert factors[epoch * steps] == pytest.approx(expected)
    assert factors[7 * steps - 1] == 1.0


def test_onecycle_equals_torchs():
    train, steps = TrainConfig(schedule="onecycle", epochs=4, lr=0.05, lr_batch=0), 25
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.05)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.05, total_steps=100, cycle_momentum=False)
    for step in range(100):
        assert 0.05 * rate_factor(train, step, steps) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        if step < 99:
            theirs.step()


@pytest.mark.parametrize("power", [None, 1.0, 3.0])
def test_cosine_and_polynomial_equal_torchs_after_a_linear_warm_up(power):
    options = {"schedule": "cosine"} if power is None else {"schedule": "polynomial", "power": power}
    train, steps = TrainConfig(epochs=5, warmup_epochs=1, **options), 20
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    lr = torch.optim.lr_scheduler
    theirs = lr.CosineAnnealingLR(optimiser, 80) if power is None else lr.PolynomialLR(optimiser, 80, power)
    assert [rate_factor(train, step, steps) for step in range(20)] == [(step + 1) / 20 for step in range(20)]
    for step in range(20, 100):
        assert rate_factor(train, step, steps) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        theirs.step()


def test_rate_scales_with_the_global_batch_unless_it_is_taken_as_it_is():
    assert peak_rate(TrainConfig(batch_size=384), 4) == pytest.approx(0.1 * 384 * 4 / 512)
    assert peak_rate(TrainConfig(batch_size=384, lr_batch=0), 4) == 0.1
