"""BatchNorm over the rows of all ranks, on any device.

Several ranks compute what one process would that saw the global batch. torch's own SyncBatchNorm needs CUDA, and its
host waits in every layer, to leave out ranks without rows; here every rank must bring as many. On CUDA this one runs on
the same kernels, elsewhere on operations that every device has.
"""

from typing import Any

import torch
from torch import Tensor, nn

from common.runtime import gather_rows, mean_over_ranks, world_size


def synchronise(module: nn.Module) -> nn.Module:
    """The module with every BatchNorm in it exchanged for one over all ranks; keys and tensors stay."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return SyncBatchNorm.of(module)
    for name, child in module.named_children():
        setattr(module, name, synchronise(child))
    return module


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """A BatchNorm1d or 2d of any shape (B,C,...) that trains on the statistics of all ranks' rows.

    With one rank, and in evaluation, it is torch's own.
    """

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> "SyncBatchNorm":
        """The same parameters and buffers under this class."""
        assert norm.track_running_stats, "no backbone has a BatchNorm without running statistics"
        assert norm.momentum is not None, "nor one that averages them over all steps"
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine)
        new.weight, new.bias, new.training = norm.weight, norm.bias, norm.training
        for name, buffer in norm.named_buffers():
            setattr(new, name, buffer)
        return new

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(input)
        norm = _KernelNorm if input.is_cuda else _GlobalNorm
        return norm.apply(input, self.weight, self.bias, self)  # type: ignore[no-untyped-call,no-any-return]

    def follow(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        """Move the running statistics towards a global batch's, the variance unbiased as torch does."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (rows / (rows - 1)), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"BatchNorm takes (B,C,...), not {tuple(input.shape)}")


class _GlobalNorm(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps) * weight + bias with mean and var of all ranks' x; Ioffe and Szegedy, 2015."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, norm: SyncBatchNorm) -> Tensor:
        wide, dims = _wider(x), [dim for dim in range(x.dim()) if dim != 1]
        # Means of equal numbers of rows, and the spread between them: no sum of squares that cancels.
        variance, mean = torch.var_mean(wide, dims, correction=0)
        means, variances = gather_rows(torch.stack([mean, variance])[None]).unbind(1)
        mean, variance = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        norm.follow(mean, variance, world_size() * x.numel() // x.shape[1])

        scale = torch.rsqrt(variance + norm.eps)
        unit = (wide - _wide(mean, x)).mul_(_wide(scale, x))
        ctx.save_for_backward(unit, scale, weight)
        ctx.dims, ctx.dtype = dims, x.dtype
        if weight is None or bias is None:
            return unit.to(x.dtype)
        return torch.addcmul(_wide(bias, x), unit, _wide(weight, x)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        unit, scale, weight = ctx.saved_tensors
        grad = _wider(grad)
        along, slope = grad.mean(ctx.dims), (grad * unit).mean(ctx.dims)
        number = grad.numel() // grad.shape[1]
        grad_weight, grad_bias = (None, None) if weight is None else (slope * number, along * number)
        along, slope = mean_over_ranks(torch.stack([along, slope]))
        grad_x = torch.addcmul(grad - _wide(along, grad), unit, _wide(slope, grad), value=-1)
        grad_x *= _wide(scale if weight is None else scale * weight, grad)
        return grad_x.to(ctx.dtype), grad_weight, grad_bias, None


class _KernelNorm(torch.autograd.Function):
    """The same by the kernels of torch's SyncBatchNorm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, norm: SyncBatchNorm) -> Tensor:
        assert norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.num_batches_tracked += 1
        x = _packed(x)
        means, inverses = gather_rows(torch.stack(torch.batch_norm_stats(x, norm.eps))[None]).unbind(1)
        number = x.numel() // x.shape[1]  # of a channel, on every rank
        numbers = means.new_full((len(means),), number)
        mean, inverse = torch.batch_norm_gather_stats_with_counts(
            x, means, inverses, norm.running_mean, norm.running_var, norm.momentum, norm.eps, numbers
        )
        ctx.save_for_backward(x, weight, mean, inverse, numbers[:1].int())
        return torch.batch_norm_elemt(x, weight, bias, mean, inverse, norm.eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, number = ctx.saved_tensors
        grad, affine = _packed(grad), weight is not None
        along, slope, grad_weight, grad_bias = torch.batch_norm_backward_reduce(
            grad, x, mean, inverse, weight, True, affine, affine
        )
        along, slope = mean_over_ranks(torch.stack([along, slope])).unbind()  # so they go with one rank's number
        grad_x = torch.batch_norm_backward_elemt(grad, x, mean, inverse, weight, along, slope, number)
        return grad_x, grad_weight if affine else None, grad_bias if affine else None, None


def _packed(x: Tensor) -> Tensor:
    """Contiguous, channels last or first."""
    return x if x.is_contiguous(memory_format=torch.channels_last) else x.contiguous()


def _wider(x: Tensor) -> Tensor:
    """float32, or float64 where x is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _wide(channels: Tensor, like: Tensor) -> Tensor:
    """(C,) as a shape that broadcasts over (B,C,...)."""
    return channels.view(1, -1, *(1 for _ in range(like.dim() - 2)))
