"""Softmax cross-entropy over class centres with a margin on the target; the gradient is made in the forward pass.

Two passes over blocks of columns: log-sum-exp, then logits -> probabilities -> gradient of the cosines, in place, and
at once through the products that need the centres. The backward pass is one multiplication.
"""

from typing import Any

import torch
from torch import Tensor

from distill.columns import Columns
from distill.logits import Arithmetic, Logits
from distill.margins import Margin
from distill.products import product


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

        unit_s: (B,D), for its gradient. weight: the raw centres held here, for theirs, which is that of the mean loss
        over all ranks where classes are split. batch: (B,D), or (W*B,D) with split classes, the rows of all ranks.
        Cosines beyond the limit pass no gradient.
        """
        split = columns.centers.split
        value, slope = margin(columns.target_cosine(batch))
        target = arithmetic.s * value
        logits = Logits(batch, columns, target, arithmetic)
        log_total = logits.log_total()
        own = ((target - log_total).exp() - 1) * slope

        of_s = torch.zeros_like(batch) if ctx.needs_input_grad[0] else None
        of_c = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        scale = arithmetic.s / len(unit_s)
        for block, x in logits.again() if of_s is not None or of_c is not None else ():
            clamped = logits.clamped(x)
            x.sub_(log_total[:, None]).exp_()
            if clamped is not None:
                x.masked_fill_(clamped, 0)
            x[block.rows, block.places] = own[block.rows]
            if of_s is not None:
                of_s += product(x, columns.unit(block), arithmetic.precision)
            if of_c is not None:
                of_unit = product(x.T, batch, arithmetic.precision).mul_(scale / split.parts)
                columns.add_gradient(block, of_unit, of_c)
        if of_s is not None:
            of_s = split.mine(split.sum(of_s.mul_(scale)))
        # Kept here rather than saved for backward, so that backward can give them away without a copy.
        ctx.gradients = of_s, of_c
        target = split.mine(target)
        ctx.mark_non_differentiable(target)
        return (split.mine(log_total) - target).mean(), target

    @staticmethod
    def backward(ctx: Any, of_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("a second backward pass through the head: its gradient was given away by the first")
        (of_s, of_c), ctx.gradients = ctx.gradients, None
        return (
            of_s.mul_(of_loss) if of_s is not None else None,
            of_c.mul_(of_loss) if of_c is not None else None,
            *(None,) * 4,
        )
