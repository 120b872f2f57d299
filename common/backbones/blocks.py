"""Layer groups that several face networks share. Only the names under which a network keeps them differ.

A network's file decides those names, because they are the key layout of the checkpoints in circulation.
"""

from torch import nn

from common.backbones.prelu import PReLU


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> list[nn.Module]:
    """Convolution without bias, batch norm: MobileFaceNet's linear unit, and the shortcut of a residual unit."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


def conv_bn_prelu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
) -> list[nn.Module]:
    """Convolution without bias, batch norm, one PReLU slope a channel."""
    return [*conv_bn(inputs, outputs, kernel, stride, padding, groups), PReLU(outputs)]


def residual_branch(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """The improved residual unit of ArcFace (Deng et al. 2019, section 3.2.2): BN, conv, BN, PReLU, conv, BN.

    The second convolution carries the stride.
    """
    return [
        nn.BatchNorm2d(inputs),
        *conv_bn_prelu(inputs, outputs, 3, padding=1),
        *conv_bn(outputs, outputs, 3, stride, padding=1),
    ]
