"""PReLU with one slope a channel, whose gradient does not dominate training on a CPU.

torch 2.13's own backward pass of PReLU is scalar code on CPUs: 46 % of a MobileFaceNet training step. The same gradient
from vectorised operations takes a fifth of its time there (`benchmarks/prelu.py`). Elsewhere torch's own is used.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PReLU(nn.PReLU):
    """max(x, 0) + weight * min(x, 0); keys and numbers of torch.nn.PReLU (He et al., ICCV 2015, eq. 1)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return _VectorPReLU.apply(input, self.weight.to(input.dtype))  # type: ignore[no-untyped-call]
        return F.prelu(input, self.weight.to(input.dtype))


class _VectorPReLU(torch.autograd.Function):
    """x (B,C,...) and weight (C,) of one type."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.prelu(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        above = torch.ops.aten.threshold_backward(grad, x, 0)
        below = grad - above
        others = [dim for dim in range(x.dim()) if dim != 1]
        shape = [-1 if dim == 1 else 1 for dim in range(x.dim())]
        grad_x = torch.addcmul(above, below, weight.view(shape))
        return grad_x, below.mul_(x).sum(others)
