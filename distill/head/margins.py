"""What a margin does to the cosine of a sample with its own class centre.

Each margin maps cos(theta_y) to a target value and its slope d value / d cos, both (B,), so that the softmax can
form its gradient without autograd over (B,C). Logits are s times the value.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# AdaFace keeps cosines and angles this far from where acos and its slope break down.
ADAFACE_EPS = 1e-3
_SMALLEST_SINE = 1e-6

Margin = Callable[[Tensor], tuple[Tensor, Tensor]]


def no_margin(cos: Tensor) -> tuple[Tensor, Tensor]:
    """cos theta: the normalised softmax (Wang et al., NormFace, ACM MM 2017)."""
    return cos, torch.ones_like(cos)


def cosface(cos: Tensor, m: float) -> tuple[Tensor, Tensor]:
    """cos theta - m (Wang et al., CosFace, CVPR 2018, eq. 4)."""
    return cos - m, torch.ones_like(cos)


def arcface(cos: Tensor, m: float) -> tuple[Tensor, Tensor]:
    """cos(theta + m) (Deng et al., ArcFace, CVPR 2019, eq. 3), without the easy-margin branch.

    At cos = +-1 the true slope is infinite; it is bounded here, where a plain autograd gives NaN.
    """
    theta = torch.acos(cos.clamp(-1, 1))
    return torch.cos(theta + m), torch.sin(theta + m) / torch.sin(theta).clamp_min(_SMALLEST_SINE)


def adaface(cos: Tensor, m: float, scaler: Tensor) -> tuple[Tensor, Tensor]:
    """cos(theta - m * scaler) - (m + m * scaler) (Kim et al., AdaFace, CVPR 2022, eqs. 12 to 15).

    scaler: (B,) in [-1,1]; a larger one lowers the angular part and raises the additive part. Where the cosine or the
    moved angle is clamped the slope is zero.
    """
    limit = 1 - ADAFACE_EPS
    inside = (cos >= -limit) & (cos <= limit)
    theta = torch.acos(cos.clamp(-limit, limit))
    moved = theta - m * scaler
    inside &= (moved >= ADAFACE_EPS) & (moved <= torch.pi - ADAFACE_EPS)
    moved = moved.clamp(ADAFACE_EPS, torch.pi - ADAFACE_EPS)
    slope = torch.where(inside, torch.sin(moved) / torch.sin(theta), 0.0)
    return torch.cos(moved) - (m + m * scaler), slope


class RunningStatistics(torch.nn.Module):
    """Running mean and deviation of a number that every row has: the student's embedding norm, which is AdaFace's
    stand-in for image quality, or the geometry term."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float, rate: float) -> None:
        """mean, std: where they start. rate: how fast they follow (t_alpha)."""
        super().__init__()
        self.rate = rate
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    @torch.no_grad()
    def update(self, values: Tensor) -> None:
        """Move towards the global batch's values (B,). One row has no deviation: it moves the mean alone."""
        self.mean.lerp_(values.mean(), self.rate)
        if len(values) > 1:
            self.std.lerp_(values.std(), self.rate)

    def standardise(self, values: Tensor) -> Tensor:
        """(value - mean) / (std + eps) of AdaFace's eq. 14, before its concentration h and the clamp."""
        return (values - self.mean) / (self.std + ADAFACE_EPS)


def clamp_norms(norms: Tensor) -> Tensor:
    """AdaFace's bounds on an embedding norm before it counts as quality."""
    return norms.clamp(1e-3, 100.0)


def geometry_penalty(lam: Tensor, cos_st: Tensor, k: float) -> Tensor:
    """k * relu(lam - cos_st) * lam: how far the student lags behind a teacher that knows the class well; (B,).

    lam: (B,), or the cache's confidence in its place.
    """
    return k * (lam - cos_st).relu() * lam


def static_penalty(lam: Tensor, cos_st: Tensor, k: float, threshold: float) -> Tensor:
    """k * relu(lam - cos_st) where lam is above the threshold, else 0; (B,)."""
    return torch.where(lam > threshold, k * (lam - cos_st).relu(), 0.0)


def geometry_weight(w: float, epoch: float | Tensor, warmup: float) -> float | Tensor:
    """w, ramped up linearly over the first `warmup` epochs."""
    if not warmup:
        return w
    ramp = epoch / warmup
    return w * (ramp.clamp(max=1.0) if isinstance(ramp, Tensor) else min(1.0, ramp))
