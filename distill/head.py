"""The distillation head: softmax over class centres, with every known recipe a point of margin x centres x geometry.

    head = build_head(config.head, num_classes, dim)
    out = head(f_s, f_t, labels, epoch)         # out.loss.backward(); out.stats
    head.centers.weight                         # (C,D)

The maths and its sources are in docs/method.md. With several ranks every rank passes its own rows, and centres, norm
statistics and alpha are those of the global batch: equal on all ranks, and equal to one process that saw all rows.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.config import HeadConfig
from common.runtime import gather_rows
from distill import margins
from distill.centers import KeptCenters, LearnedCenters
from distill.softmax import MarginCrossEntropy

SMALLEST = 1e-6


class HeadOutput(NamedTuple):
    """loss: () mean over this rank's rows, differentiable in f_s. stats: detached means, and (B,) `target_logit`."""

    loss: Tensor
    stats: dict[str, Tensor]


def build_head(config: HeadConfig | Mapping[str, Any], num_classes: int, dim: int) -> "Head":
    """The head of a [head] section (or its keys as a mapping), with fresh centres from torch's generator."""
    return Head(HeadConfig.model_validate(config), num_classes, dim)


class Head(nn.Module):
    """Margin softmax over class centres. Every forward pass in training mode moves distilled centres."""

    def __init__(self, config: HeadConfig, num_classes: int, dim: int) -> None:
        super().__init__()
        self.config = config
        learned = config.centers == "learned"
        self.centers: LearnedCenters | KeptCenters = (LearnedCenters if learned else KeptCenters)(num_classes, dim)
        if config.margin == "adaface":
            self.norms = margins.NormStatistics(config.norm_mean, config.norm_std, config.t_alpha)

    def forward(
        self, f_s: Tensor, f_t: Tensor | None, labels: Tensor, epoch: float, confidence: Tensor | None = None
    ) -> HeadOutput:
        """Loss of this rank's rows.

        f_s: (B,D) student embeddings, not normalised. f_t: (B,D) teacher embeddings of any length, None where the
        recipe reads no teacher. labels: int64 (B,). epoch: fractional, for the geometry warm-up. confidence: (B,)
        from the cache, with geometry = "cached". All arithmetic is float32 or wider, also under autocast.
        """
        with torch.autocast(f_s.device.type, enabled=False):
            f_s = f_s if f_s.dtype == torch.float64 else f_s.float()
            return self._forward(f_s, f_t, labels, epoch, confidence)

    def _forward(
        self, f_s: Tensor, f_t: Tensor | None, labels: Tensor, epoch: float, confidence: Tensor | None
    ) -> HeadOutput:
        stats: dict[str, Tensor] = {}
        unit_s, norm = F.normalize(f_s), f_s.detach().norm(dim=1)
        cos_st = lam = None
        if f_t is not None:
            unit_t = F.normalize(f_t.to(f_s.dtype))
            cos_st = (unit_s.detach() * unit_t).sum(1).clamp(-1, 1)
            lam = F.cosine_similarity(self.centers.weight.detach()[labels], unit_t).clamp(SMALLEST, 1)
            stats |= {"cos_st": cos_st.mean(), "lam": lam.mean()}
            if self.config.centers == "distilled" and self.training:
                stats["alpha"] = self._distil(labels, cos_st, lam, unit_t)
        scaler = self._scaler(norm, cos_st, lam if confidence is None else confidence, epoch, stats)
        loss, target_logit = MarginCrossEntropy.apply(
            unit_s, self.centers.unit(), labels, self._margin(scaler), self.config.s, self._limit()
        )
        stats |= {"norm": norm.mean(), "target_logit": target_logit}
        return HeadOutput(loss, stats)

    @torch.no_grad()
    def _distil(self, labels: Tensor, cos_st: Tensor, lam: Tensor, unit_t: Tensor) -> Tensor:
        """Move the centres of the global batch; returns the mean alpha of this rank's rows."""
        assert isinstance(self.centers, KeptCenters)
        match self.config.alpha:
            case "weighted":
                alpha = (cos_st * lam).clamp(SMALLEST, 1)
            case "adaptive":
                alpha = cos_st.clamp(SMALLEST, 1)
            case "fixed":
                alpha = torch.full_like(cos_st, self.config.momentum)
        self.centers.move(gather_rows(labels), gather_rows(alpha), gather_rows(unit_t))
        return alpha.mean()

    def _scaler(
        self, norm: Tensor, cos_st: Tensor | None, lam: Tensor | None, epoch: float, stats: dict[str, Tensor]
    ) -> Tensor | None:
        """AdaFace's margin scaler (B,) in [-1,1], with the geometry term where the recipe has one."""
        config = self.config
        if config.margin != "adaface":
            return None
        norm = margins.clamp_norms(norm)
        if self.training:
            self.norms.update(gather_rows(norm))
        scaler = config.h * self.norms.standardise(norm)
        if config.geometry != "off":
            assert lam is not None
            assert cos_st is not None
            penalty = margins.geometry_penalty(lam, cos_st, config.geometry_k)
            scaler = scaler + margins.geometry_weight(config.geometry_w, epoch, config.geometry_warmup) * penalty
            stats["geometry"] = penalty.mean()
        scaler = scaler.clamp(-1, 1)
        stats["margin_scaler"] = scaler.mean()
        return scaler

    def _margin(self, scaler: Tensor | None) -> margins.Margin:
        m = self.config.m
        match self.config.margin:
            case "cosface":
                return partial(margins.cosface, m=m)
            case "arcface":
                return partial(margins.arcface, m=m)
            case "adaface":
                assert scaler is not None
                return partial(margins.adaface, m=m, scaler=scaler)
            case _:
                return margins.no_margin

    def _limit(self) -> float:
        """Bound on cosines; AdaFace's recipe keeps them off +-1, the others only mend rounding."""
        return 1 - margins.ADAFACE_EPS if self.config.margin == "adaface" else 1.0
