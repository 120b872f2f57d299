"""Learning rates as pure functions of the step: nothing to save, nothing to restore.

`step` is the reference recipe of AdaDistill's training script: a quadratic rise over the warm-up epochs, then a tenth
at every milestone, each taking effect one epoch before its number. `cosine` (Loshchilov and Hutter, SGDR, 2017,
without restarts) and `polynomial` (`power` 2 is arcface_torch's, 1 a straight line) fall to zero after a linear warm-up
(Goyal et al., 2017). `onecycle` is Smith's
1cycle policy (Smith and Topin, Super-Convergence, 2018) with cosine slopes, as in torch.optim.lr_scheduler.OneCycleLR.
"""

import math
from typing import assert_never

from common.config import TrainConfig

ONECYCLE_RISE = 0.3
ONECYCLE_START = 1 / 25
ONECYCLE_END = 1 / 250_000


def peak_rate(train: TrainConfig, ranks: int) -> float:
    """The learning rate the schedule multiplies: `lr` for a global batch of `lr_batch`, scaled linearly."""
    return train.lr * train.batch_size * ranks / train.lr_batch if train.lr_batch else train.lr


def rate_factor(train: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """What the peak rate is multiplied by at a step counted from 0 over the whole run."""
    total, warmup = train.epochs * steps_per_epoch, train.warmup_epochs * steps_per_epoch
    match train.schedule:
        case "onecycle":
            return _onecycle(step, total)
        case "step":
            return _tenths(train, step / steps_per_epoch)
        case "cosine" | "polynomial" if step < warmup:
            return (step + 1) / warmup
        case "cosine":
            return _cosine(1.0, 0.0, (step - warmup) / (total - warmup))
        case "polynomial":
            return math.pow(1 - (step - warmup) / (total - warmup), train.power)
        case unknown:
            assert_never(unknown)


def _tenths(train: TrainConfig, epoch: float) -> float:
    if epoch < train.warmup_epochs:
        return ((epoch + 1) / (train.warmup_epochs + 1)) ** 2
    return 0.1 ** sum(epoch >= milestone - 1 for milestone in train.milestones)


def _onecycle(step: int, total: int) -> float:
    last = max(total - 1, 1)
    top = ONECYCLE_RISE * total - 1
    if step <= top:
        return _cosine(ONECYCLE_START, 1.0, step / top)
    return _cosine(1.0, ONECYCLE_END, (step - top) / (last - top))


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(part, 1.0))) / 2
