"""Softmax cross-entropy over class centres with a margin on the target; the gradient is made in the forward pass.

Two passes over chunks of columns: the sum of exponentials, then logits -> gradient of the cosines up to a number a row,
in place, and at once through the products that need the centres. The backward pass is one multiplication.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.head.columns import Columns
from distill.head.logits import Arithmetic, Logits, product
from distill.head.margins import Margin


class MarginCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of s * cos with the target's cosine passed through a margin."""

    @staticmethod
    def forward(
        ctx: Any,
        unit_s: Tensor,
        weight: Tensor,
        batch: Tensor,
        columns: Columns,
        margin: Margin,
        arithmetic: Arithmetic,
    ) -> tuple[Tensor, Tensor]:
        """-> loss () of this rank's rows, and their target logits (B,).

        unit_s: (B,D), for its gradient. weight: the raw centres of the columns, for theirs, which is that of the mean
        loss over all ranks where classes are split. batch: (B,D), or (W*B,D) with split classes, the rows of all ranks.
        Cosines beyond the limit pass no gradient.
        """
        shard = columns.centers.shard
        value, slope = margin(columns.target_cosine(batch))
        target = arithmetic.s * value
        logits = Logits(batch, columns, arithmetic)
        top, others = logits.others()
        # log((1 - p_y) / p_y): a difference at the size of the loss, not of the logits, and of it nothing is taken from
        # 1. So a row that is learned to 1e-7 has as many right digits as one that is not.
        odds = top - target + others.log()
        per_other = odds.sigmoid() / others  # p_c = per_other * exp(logit_c - top)

        gradient_s = torch.zeros_like(batch) if ctx.needs_input_grad[0] else None
        gradient_c = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        # What all of a row has in common is multiplied to its product, not to its B x C numbers.
        scale = per_other.mul_(arithmetic.s / len(unit_s))[:, None]
        scaled_batch = batch * (scale / shard.parts) if gradient_c is not None else batch
        own = -others * slope
        for chunk, x in logits.second_pass() if gradient_s is not None or gradient_c is not None else ():
            clamped = logits.clamped(x)
            x.sub_(top[:, None]).exp_()
            if clamped is not None:
                x.masked_fill_(clamped, 0)
            chunk.put_own(x, own)
            if gradient_s is not None:
                gradient_s += product(x, columns.unit(chunk), arithmetic.precision)
            if gradient_c is not None:
                columns.add_gradient(chunk, product(x.T, scaled_batch, arithmetic.precision), gradient_c)
        if gradient_s is not None:
            gradient_s = shard.rows_of_rank(shard.sum(gradient_s.mul_(scale)))
        # Kept here rather than saved for backward, so that backward can give them away without a copy.
        ctx.gradients = gradient_s, gradient_c
        target = shard.rows_of_rank(target)
        ctx.mark_non_differentiable(target)
        return -F.logsigmoid(-shard.rows_of_rank(odds)).mean(), target

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("a second backward pass through the head: its gradient was given away by the first")
        (gradient_s, gradient_c), ctx.gradients = ctx.gradients, None
        return (
            gradient_s.mul_(of_loss) if gradient_s is not None else None,
            gradient_c.mul_(of_loss) if gradient_c is not None else None,
            *(None,) * 4,
        )
