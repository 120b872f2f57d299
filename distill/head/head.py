"""The distillation head: softmax over class centres, with every known recipe a point of margin x centres x geometry.

    head = build_head(config.head, num_classes, dim)
    out = head(f_s, f_t, labels, epoch)         # out.loss.backward(); out.stats
    head.centers.weight                         # (C,D); with split classes this rank's part

The maths and its sources are in docs/method.md. With several ranks every rank passes its own rows, and centres, norm
statistics and alpha are those of the global batch: equal on all ranks, and equal to one process that saw all rows.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from common.config import HeadConfig, TermsConfig
from common.runtime import gather_rows, mean_over_ranks, rank
from distill.head import margins
from distill.head.centers import KeptCenters, LearnedCenters
from distill.head.class_shard import ClassShard, keep_whole_momentum
from distill.head.columns import Columns
from distill.head.distribution import TeacherDistribution
from distill.head.logits import Arithmetic
from distill.head.sampled_centers import SampledCenters
from distill.head.sampling import Sample, sample_classes, sample_size
from distill.head.softmax import MarginCrossEntropy
from distill.histograms import shares

SMALLEST = 1e-6


class HeadOutput(NamedTuple):
    """loss: () mean over this rank's rows, differentiable in f_s. stats: detached means, and (B,) `target_logit`."""

    loss: Tensor
    stats: dict[str, Tensor]


def build_head(config: HeadConfig | Mapping[str, Any], num_classes: int, dim: int, seed: int = 0) -> "Head":
    """The head of a [head] section (or its keys as a mapping), with fresh centres from torch's generator.

    seed: of the classes sampled with sample_rate < 1. Raises ConfigError for a rate that leaves no class out.
    """
    return Head(HeadConfig.model_validate(config), num_classes, dim, seed)


class Head(nn.Module):
    """Margin softmax over class centres. Every forward pass in training mode moves distilled centres."""

    def __init__(self, config: HeadConfig, num_classes: int, dim: int, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        self.shard = ClassShard.over_ranks(num_classes) if config.split_classes else ClassShard(num_classes)
        self.sample = sample_size(config.sample_rate, num_classes)
        self.arithmetic = Arithmetic(
            s=config.s,
            # AdaFace's recipe keeps cosines off +-1; elsewhere only rounding could pass 1.
            limit=1 - margins.ADAFACE_EPS if config.margin == "adaface" else None,
            keep=config.logits_mib << 20,
            precision=config.precision,
        )
        self.centers: LearnedCenters | KeptCenters
        if config.centers == "learned":
            self.centers = (LearnedCenters if self.sample is None else SampledCenters)(self.shard, dim)
        else:
            self.centers = KeptCenters(self.shard, dim, config.precision)
        if config.margin == "adaface":
            self.norms = margins.RunningStatistics(config.norm_mean, config.norm_std, config.t_alpha)
        if config.geometry_penalty == "standardised":
            self.penalties = margins.RunningStatistics(0.0, 1.0, config.t_alpha)
        self.distribution: TeacherDistribution | None = None
        self.margin_weight: float | None = None  # with terms beside the margin

    def teach(self, terms: TermsConfig, centers: Tensor | None) -> None:
        """Weigh the loss for terms beside it, and add the term `logits` to it with the teacher's centres (C,D)."""
        self.margin_weight = terms.margin_weight
        if centers is not None:
            self.distribution = TeacherDistribution(terms, self.shard, centers)

    def forward(
        self,
        f_s: Tensor,
        f_t: Tensor | None,
        labels: Tensor,
        epoch: float | Tensor,
        confidence: Tensor | None = None,
        step: int | Tensor = 0,
    ) -> HeadOutput:
        """Loss of this rank's rows.

        f_s: (B,D) student embeddings, not normalised. f_t: (B,D) teacher embeddings of any length, None where the
        recipe reads no teacher. labels: int64 (B,), 0..C-1. epoch: fractional, for the geometry warm-up; a float64 ()
        on the device where the pass is captured. confidence: (B,) from the cache with geometry = "cached", else None.
        step: of the run, for sampled classes; likewise an int64 (). Raises ValueError for inputs that are not the
        recipe's, and for other labels where they are on the CPU.

        With split classes f_t, labels and confidence are those of all ranks, W*B rows in rank order: the cache has
        them, so that only f_s has to travel. All arithmetic is float32 or wider, also under autocast, except the
        matrix products with precision = "bfloat16".
        """
        with torch.autocast(f_s.device.type, enabled=False):
            f_s = f_s if f_s.dtype == torch.float64 else f_s.float()
            return self._forward(f_s, f_t, labels, epoch, confidence, step)

    def average_gradients(self) -> None:
        """Mean over ranks of the gradient of learned centres; split ones have theirs from all rows already."""
        for parameter in self.parameters() if self.shard.parts == 1 else ():
            if parameter.grad is not None:
                mean_over_ranks(parameter.grad)

    def serve(self, optimiser: Optimizer) -> None:
        """Make the optimiser's saved state that of all classes, as the head's own is, and its steps those of a sample.

        To be called once, before its first step.
        """
        if isinstance(self.centers, SampledCenters):
            self.centers.serve(optimiser)
        elif isinstance(self.centers, LearnedCenters):
            keep_whole_momentum(optimiser, self.centers.weight, self.shard)

    def _forward(
        self,
        f_s: Tensor,
        f_t: Tensor | None,
        labels: Tensor,
        epoch: float | Tensor,
        confidence: Tensor | None,
        step: int | Tensor,
    ) -> HeadOutput:
        stats: dict[str, Tensor] = {}
        unit_s = F.normalize(f_s)
        batch, norm = self.shard.gather(unit_s.detach()), self.shard.gather(f_s.detach().norm(dim=1))
        self._refuse_misfit(len(batch), f_t, labels, confidence)
        cos_st = lam = None
        if f_t is not None:
            unit_t = F.normalize(f_t.to(f_s.dtype))
            cos_st = (batch * unit_t).sum(1).clamp(-1, 1)
            lam = self._lam(labels, unit_t)
            stats |= {"cos_st": cos_st.mean(), "lam": lam.mean()}
            if self.config.centers == "distilled" and self.training:
                stats["alpha"] = self._distil(labels, cos_st, lam, unit_t)
        scaler = self._scaler(norm, cos_st, self._trust(lam, confidence), epoch, stats)
        sample = self._sample(labels, step)
        if isinstance(self.centers, SampledCenters):
            self.centers.take(sample)
        columns = Columns(self.centers, labels, sample)
        loss, target_logit = MarginCrossEntropy.apply(  # type: ignore[no-untyped-call]
            unit_s, self.centers.trained, batch, columns, self._margin(scaler), self.arithmetic
        )
        stats |= {"norm": norm.mean(), "target_logit": target_logit}
        if self.margin_weight is not None:
            stats["margin_loss"] = loss.detach()
            loss = self.margin_weight * loss
        if self.distribution is not None:
            assert f_t is not None
            term = self.distribution(unit_s, self.centers.trained, batch, unit_t, columns, self.arithmetic)
            stats["logits"] = term.detach()
            loss = loss + self.distribution.terms.logits_weight * term
        return HeadOutput(loss, stats)

    def _all_rows(self, x: Tensor) -> Tensor:
        """The global batch's rows; where classes are split, that is what every rank has already."""
        return gather_rows(x) if self.shard.parts == 1 else x

    def _lam(self, labels: Tensor, unit_t: Tensor) -> Tensor:
        """cos(w_y, f_t) before the centre moves, in [SMALLEST, 1]; (B,) or (W*B,)."""
        places, held = self.shard.locate(labels)
        lam = F.cosine_similarity(self.centers.weight.detach()[places], unit_t)
        return self.shard.sum(lam if held is None else torch.where(held, lam, 0)).clamp(SMALLEST, 1)

    @torch.no_grad()
    def _distil(self, labels: Tensor, cos_st: Tensor, lam: Tensor, unit_t: Tensor) -> Tensor:
        """Move the centres of the global batch; returns the mean alpha."""
        assert isinstance(self.centers, KeptCenters)
        match self.config.alpha:
            case "weighted":
                alpha = (cos_st * lam).clamp(SMALLEST, 1)
            case "adaptive":
                alpha = cos_st.clamp(SMALLEST, 1)
            case "fixed":
                alpha = torch.full_like(cos_st, self.config.momentum)
            case unknown:
                assert_never(unknown)
        self.centers.move(self._all_rows(labels), self._all_rows(alpha), self._all_rows(unit_t))
        return alpha.mean()

    def _sample(self, labels: Tensor, step: int | Tensor) -> Sample | None:
        """The classes held here that take part in this step, None for all."""
        if self.sample is None or not self.training:
            return None
        sample = sample_classes(self._all_rows(labels), self.shard, self.sample, self.seed, step)
        if self.shard.parts > 1:
            return sample
        here = slice(rank() * len(labels), (rank() + 1) * len(labels))  # the classes of all ranks, the rows of this one
        return sample._replace(columns=sample.columns[here])

    def _scaler(
        self, norm: Tensor, cos_st: Tensor | None, trust: Tensor | None, epoch: float | Tensor, stats: dict[str, Tensor]
    ) -> Tensor | None:
        """AdaFace's margin scaler (B,) in [-1,1], with the geometry term where the recipe has one."""
        config = self.config
        if config.margin != "adaface":
            return None
        norm = margins.clamp_norms(norm)
        if self.training:
            self.norms.update(self._all_rows(norm))
        scaler = config.h * self.norms.standardise(norm)
        if trust is not None:
            assert cos_st is not None
            penalty = self._penalty(trust, cos_st)
            stats["geometry"] = penalty.mean()
            if config.geometry_penalty == "standardised":
                if self.training:
                    self.penalties.update(self._all_rows(penalty))
                penalty = config.h * self.penalties.standardise(penalty)
            scaler = scaler + margins.geometry_weight(config.geometry_w, epoch, config.geometry_warmup) * penalty
        scaler = scaler.clamp(-1, 1)
        stats |= {"margin_scaler": scaler.mean(), **shares("margin_scaler", scaler)}
        return scaler

    def _penalty(self, trust: Tensor, cos_st: Tensor) -> Tensor:
        """How far the student lags behind a teacher that knows the class: (B,), 0 or more."""
        config = self.config
        if config.geometry == "static":
            return margins.static_penalty(trust, cos_st, config.geometry_k, config.geometry_threshold)
        return margins.geometry_penalty(trust, cos_st, config.geometry_k)

    def _trust(self, lam: Tensor | None, confidence: Tensor | None) -> Tensor | None:
        """How well the teacher knows a row's class, for the geometry term: (B,) in [SMALLEST, 1]."""
        match self.config.geometry:
            case "off":
                return None
            case "live" | "static":
                return lam
            case "cached":
                assert confidence is not None
                return confidence.clamp(SMALLEST, 1)
            case unknown:
                assert_never(unknown)

    def _refuse_misfit(self, rows: int, f_t: Tensor | None, labels: Tensor, confidence: Tensor | None) -> None:
        """Raises ValueError for inputs that are not those of this recipe."""
        config = self.config
        if len(labels) != rows:
            raise ValueError(f"{len(labels)} labels for {rows} rows, with split classes those of all ranks")
        # On another device this would wait for it: FaceBatches has looked at them.
        if labels.device.type == "cpu" and ((labels < 0) | (labels >= self.shard.classes)).any():
            found = f"{int(labels.min())}..{int(labels.max())}"
            raise ValueError(f"labels {found} for a head of {self.shard.classes} classes, 0..{self.shard.classes - 1}")
        if f_t is None and (config.geometry != "off" or (self.training and config.centers == "distilled")):
            raise ValueError(f"centers = {config.centers!r} with geometry = {config.geometry!r} needs f_t")
        if (confidence is not None) != (config.geometry == "cached"):
            word = "needs" if confidence is None else "reads no"
            raise ValueError(f"geometry = {config.geometry!r} {word} confidence: 'cached' alone reads one")
        if confidence is not None and confidence.shape != labels.shape:
            raise ValueError(f"confidence of shape {tuple(confidence.shape)} for {len(labels)} rows")

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
            case "none":
                return margins.no_margin
            case unknown:
                assert_never(unknown)
