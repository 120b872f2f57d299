"""The teacher's distribution over classes against the student's: knowledge distillation, whole or grouped.

Both are softmaxes of s * cos / temperature over the columns of the head's own logits: the student's with the head's
centres and no margin, the teacher's with class centres of its own. Columns are taken in the head's chunks and formed
anew in every pass, so nothing of size B x C exists, and the gradient is made in the forward pass, as the head's own.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.config import TermsConfig
from distill.head.class_shard import ClassShard
from distill.head.columns import Chunk, Columns
from distill.head.logits import Arithmetic, product

_BITS = 11  # of the two levels at which a group's bound is looked for: 2 / 2^22 in cosine


class Targets(NamedTuple):
    """What the teacher says of a batch. units: (n,D) its class centres held here. rows: (B,D) its unit embeddings."""

    units: Tensor
    rows: Tensor
    terms: TermsConfig


class TeacherDistribution(nn.Module):
    """Class centres of the teacher, kept on the device; no part of a saved state, since the cache has them."""

    units: Tensor

    def __init__(self, terms: TermsConfig, shard: ClassShard, centers: Tensor) -> None:
        """centers: (C,D), all of them; those of classes without samples may be zero."""
        super().__init__()
        self.terms = terms
        self.register_buffer("units", F.normalize(shard.share(centers)), persistent=False)

    def forward(
        self, unit_s: Tensor, weight: Tensor, batch: Tensor, unit_t: Tensor, columns: Columns, arithmetic: Arithmetic
    ) -> Tensor:
        """Mean over this rank's rows, (); arguments as of MarginCrossEntropy, unit_t: rows as of batch."""
        targets = Targets(self.units, unit_t, self.terms)
        loss: Tensor = _Divergence.apply(unit_s, weight, batch, columns, arithmetic, targets)  # type: ignore[no-untyped-call]
        return loss


class _Divergence(torch.autograd.Function):
    """temperature^2 * KL(teacher, student), or the two terms of GKD in its place."""

    @staticmethod
    def forward(
        ctx: Any,
        unit_s: Tensor,
        weight: Tensor,
        batch: Tensor,
        columns: Columns,
        arithmetic: Arithmetic,
        targets: Targets,
    ) -> Tensor:
        shard, terms = columns.centers.shard, targets.terms
        both = _Cosines(batch, columns, arithmetic, targets)
        grouped = terms.logits == "gkd"
        bound = _group_bound(both, shard, terms.primary_mass) if grouped else None
        sums = _sums(both, shard, bound)
        primary, binary = (terms.primary_weight, terms.binary_weight) if grouped else (1.0, 0.0)
        excess = sums.student_share - sums.teacher_share  # of the primary group, in probability
        values = terms.temperature**2 * (primary * sums.divergence + (binary * sums.binary if grouped else 0))

        gradient_s = torch.zeros_like(batch) if ctx.needs_input_grad[0] else None
        gradient_c = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        scale = terms.temperature * arithmetic.s / len(unit_s)
        inside = (primary + binary * excess) / sums.student
        for chunk in columns.chunks() if gradient_s is not None or gradient_c is not None else ():
            student, teacher = both.student(chunk), both.teacher(chunk)
            member = None if bound is None else _place(teacher / both.scale) >= bound[:, None]
            x = student.sub_(sums.student_top[:, None]).exp_()
            p = teacher.sub_(sums.teacher_top[:, None]).exp_().mul_((primary / sums.teacher)[:, None])
            if member is None:
                x.mul_(inside[:, None]).sub_(p)
            else:
                outside = -binary * excess / sums.student_rest
                x = x * torch.where(member, inside[:, None], outside[:, None]) - torch.where(member, p, 0)
            if gradient_s is not None:
                gradient_s += product(x, columns.unit(chunk), arithmetic.precision)
            if gradient_c is not None:
                rows = batch * (scale / shard.parts)
                columns.add_gradient(chunk, product(x.T, rows, arithmetic.precision), gradient_c)
        if gradient_s is not None:
            gradient_s = shard.rows_of_rank(shard.sum(gradient_s.mul_(scale)))
        ctx.gradients = gradient_s, gradient_c
        return shard.rows_of_rank(values).mean()

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("a second backward pass through a term: its gradient was given away by the first")
        (gradient_s, gradient_c), ctx.gradients = ctx.gradients, None
        return (
            gradient_s.mul_(of_loss) if gradient_s is not None else None,
            gradient_c.mul_(of_loss) if gradient_c is not None else None,
            *(None,) * 4,
        )


class _Cosines:
    """The softened logits of both, chunk by chunk."""

    def __init__(self, batch: Tensor, columns: Columns, arithmetic: Arithmetic, targets: Targets) -> None:
        self.batch, self.columns, self._precision, self._targets = batch, columns, arithmetic.precision, targets
        self.scale = arithmetic.s / targets.terms.temperature

    def student(self, chunk: Chunk) -> Tensor:
        return self._scaled(chunk, product(self.batch, self.columns.unit(chunk).T, self._precision))

    def teacher(self, chunk: Chunk) -> Tensor:
        units = self._targets.units[self.columns.numbers(chunk)].to(self.batch.dtype)
        return self._scaled(chunk, product(self._targets.rows, units.T, self._precision))

    def _scaled(self, chunk: Chunk, cosines: Tensor) -> Tensor:
        cosines *= self.scale
        return cosines if chunk.filler is None else cosines.masked_fill_(chunk.filler, torch.finfo(cosines.dtype).min)


class _Online:
    """Sums of exp(logit - top) times factors, with the largest logit so far as top; (k,B)."""

    def __init__(self, batch: Tensor, sums: int) -> None:
        self.top = torch.full_like(batch[:, 0], torch.finfo(batch.dtype).min)
        self.sums = batch.new_zeros(sums, len(batch))

    def add(self, logits: Tensor, *factors: Tensor | None) -> Tensor:
        """Take in a chunk's (B,n), with a factor (B,n) for each sum, None for 1; returns the exponentials."""
        higher = torch.maximum(self.top, logits.amax(1))
        self.sums.mul_((self.top - higher).exp_())
        exponentials = (logits - higher[:, None]).exp_()
        for total, factor in zip(self.sums, factors, strict=True):
            total += (exponentials if factor is None else exponentials * factor).sum(1)
        self.top = higher
        return exponentials

    def over(self, shard: ClassShard) -> tuple[Tensor, Tensor]:
        """Top (B,) and sums (k,B) of all ranks' columns."""
        highest = shard.max(self.top.clone())
        return highest, shard.sum(self.sums.mul_((self.top - highest).exp_()))


class _Sums(NamedTuple):
    """(B,) each, of the group, which is all classes without one.

    student, teacher: sums of exponentials over it, student_rest: over the others, for which the tops are subtracted.
    student_share, teacher_share: its probability. divergence: KL within it. binary: KL between it and the rest.
    """

    student_top: Tensor
    teacher_top: Tensor
    student: Tensor
    student_rest: Tensor
    teacher: Tensor
    student_share: Tensor
    teacher_share: Tensor
    divergence: Tensor
    binary: Tensor


def _sums(both: _Cosines, shard: ClassShard, bound: Tensor | None) -> _Sums:
    """One pass over both. bound: (B,) the lowest place of the group, None where all classes are in it."""
    s, t = _Online(both.batch, 2), _Online(both.batch, 3)
    for chunk in both.columns.chunks():
        student, teacher = both.student(chunk), both.teacher(chunk)
        ahead = teacher - student
        if bound is None:
            member = torch.ones_like(student)
        else:
            member = (_place(teacher / both.scale) >= bound[:, None]).to(student.dtype)
        s.add(student, member, 1 - member)
        t.add(teacher, member, 1 - member, ahead * member)
    student_top, (student, student_rest) = s.over(shard)
    teacher_top, (teacher, teacher_rest, ahead_sum) = t.over(shard)
    least = torch.finfo(student.dtype).tiny
    student, student_rest = student.clamp_min(least), student_rest.clamp_min(least)
    q, p = student / (student + student_rest), teacher / (teacher + teacher_rest)
    q_rest, p_rest = student_rest / (student + student_rest), teacher_rest / (teacher + teacher_rest)
    divergence = ahead_sum / teacher - (teacher_top + teacher.log()) + (student_top + student.log())
    binary = p.xlogy(p) - p.xlogy(q) + p_rest.xlogy(p_rest) - p_rest.xlogy(q_rest)
    return _Sums(student_top, teacher_top, student, student_rest, teacher, q, p, divergence, binary)


def _place(cosines: Tensor) -> Tensor:
    """int64 (B,n) in 0..4^_BITS-1, in the order of the cosines; closer than 2 / 4^_BITS they count as equal."""
    places: Tensor = ((cosines.clamp(-1, 1) + 1) * (0.5 * 4**_BITS)).long()
    return places.clamp_(max=4**_BITS - 1)


def _group_bound(both: _Cosines, shard: ClassShard, mass: float) -> Tensor:
    """int64 (B,): the largest place so that classes from it on have `mass` of the teacher's probability.

    A histogram of the probability over coarse places, then one within the place where the mass is reached: two passes
    over the teacher's logits and no sorting of classes.
    """
    bins, rows = 1 << _BITS, both.batch
    coarse, t = rows.new_zeros(len(rows), bins), _Online(rows, 1)
    for chunk in both.columns.chunks():
        teacher = both.teacher(chunk)
        before = t.top
        places = _place(teacher / both.scale) >> _BITS
        exponentials = t.add(teacher, None)
        coarse.mul_((before - t.top).exp_()[:, None]).scatter_add_(1, places, exponentials)
    here = t.top
    top, (total,) = t.over(shard)
    coarse = shard.sum(coarse.mul_((here - top).exp_()[:, None]))
    high, above = _reached(coarse, mass * total)
    fine = torch.zeros_like(coarse)
    for chunk in both.columns.chunks():
        teacher = both.teacher(chunk)
        places = _place(teacher / both.scale)
        exponentials = teacher.sub_(top[:, None]).exp_().masked_fill_(places >> _BITS != high[:, None], 0)
        fine.scatter_add_(1, places & (bins - 1), exponentials)
    low, _ = _reached(shard.sum(fine), mass * total - above)
    return (high << _BITS) + low


def _reached(histogram: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The place (B,) where sums from the last one down reach `wanted` (B,), and the sum of those above it."""
    last = histogram.shape[1] - 1
    sums = histogram.flip(1).cumsum(1)
    number = (sums < wanted[:, None]).sum(1).clamp_(max=last)
    above = torch.where(number > 0, sums.gather(1, (number - 1).clamp(min=0)[:, None])[:, 0], 0)
    return last - number, above
