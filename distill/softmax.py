"""Softmax cross-entropy over class centres with a margin on the target, in one buffer.

The (B,C) cosines become logits, then probabilities, then the gradient of the cosines, all in place; the two matrix
products that need the centres are done in the forward pass, so the backward pass is one multiplication.
"""

from typing import Any

import torch
from torch import Tensor

from distill.margins import Margin


class MarginCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of s * cos with the target's cosine passed through a margin."""

    @staticmethod
    def forward(
        ctx: Any, unit_s: Tensor, unit_c: Tensor, labels: Tensor, margin: Margin, s: float, limit: float
    ) -> tuple[Tensor, Tensor]:
        """unit_s (B,D), unit_c (C,D), labels int64 (B,) -> loss (), target logits (B,).

        limit: cosines are clamped to [-limit, limit], with no gradient where they were.
        """
        rows = torch.arange(len(labels), device=labels.device)
        buffer = unit_s @ unit_c.T
        target = buffer[rows, labels]
        clamped = None
        if buffer.abs().amax() > limit:
            clamped = buffer.abs() > limit
            buffer.clamp_(-limit, limit)
        value, slope = margin(target)
        buffer[rows, labels] = value
        buffer *= s
        target_logit = buffer[rows, labels]
        log_total = torch.logsumexp(buffer, 1)
        loss = (log_total - target_logit).mean()

        probabilities = buffer.sub_(log_total[:, None]).exp_()
        probabilities[rows, labels] -= 1
        gradient = probabilities.mul_(s / len(labels))
        own = gradient[rows, labels] * slope
        if clamped is not None:
            gradient.masked_fill_(clamped, 0)
        gradient[rows, labels] = own
        grad_s = gradient @ unit_c if ctx.needs_input_grad[0] else None
        grad_c = gradient.T @ unit_s if ctx.needs_input_grad[1] else None
        ctx.save_for_backward(grad_s, grad_c)
        ctx.mark_non_differentiable(target_logit)
        return loss, target_logit

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        grad_s, grad_c = ctx.saved_tensors
        return (
            grad_loss * grad_s if grad_s is not None else None,
            grad_loss * grad_c if grad_c is not None else None,
            *(None,) * 4,
        )
