"""MobileFaceNet (Chen et al., "MobileFaceNets", 2018, table 1), the usual student of face-recognition distillation.

Keys are those of the AdaDistill family of repositories: `conv1.conv.weight`, `conv_23.project.bn.bias`,
`conv_3.model.0.conv_dw.prelu.weight`, `output_layer.linear.weight`.

Two tails: GDC (the paper's global depthwise convolution, then a linear layer and a batch norm without affine) and
GNAP (norm-aware average pooling, which has no parameters: its embedding is as wide as the last feature map).
`width` scales every channel count, for half-width students. `activation` puts another one in the place of every PReLU,
for runtimes to whose integers a slope a channel is dear (docs/export.md); the other keys stay.
"""

from collections.abc import Callable

from torch import Tensor, nn

from common.backbones.blocks import conv_bn
from common.backbones.prelu import PReLU

ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "prelu": PReLU,
    "relu": lambda channels: nn.ReLU(),
    "hardswish": lambda channels: nn.Hardswish(),  # Howard et al., MobileNetV3, 2019, section 5.2
}
"""By name: built for a number of channels."""


class Named(nn.Sequential):
    """A sequence of layers under names instead of numbers."""

    def __init__(self, names: tuple[str, ...], layers: list[nn.Module]):
        super().__init__()
        for name, layer in zip(names, layers, strict=True):
            self.add_module(name, layer)


def _linear_unit(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Module:
    return Named(("conv", "bn"), conv_bn(inputs, outputs, kernel, groups=groups))


class _Blocks:
    """What the network is made of, with one activation everywhere."""

    def __init__(self, activation: str):
        self.activation = activation

    def unit(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> nn.Module:
        layers = [*conv_bn(inputs, outputs, kernel, stride, padding, groups), ACTIVATIONS[self.activation](outputs)]
        return Named(("conv", "bn", self.activation), layers)

    def bottleneck(self, inputs: int, outputs: int, inner: int, stride: int) -> nn.Module:
        """Expand to `inner` channels, depthwise 3x3, project linearly."""
        expand, depthwise = self.unit(inputs, inner, 1), self.unit(inner, inner, 3, stride, 1, groups=inner)
        return Named(("conv", "conv_dw", "project"), [expand, depthwise, _linear_unit(inner, outputs, 1)])

    def residuals(self, channels: int, inner: int, count: int) -> nn.Module:
        """`count` bottlenecks of stride 1, each added to its input."""
        return Residuals([self.bottleneck(channels, channels, inner, stride=1) for _ in range(count)])


class Residuals(nn.Module):
    """Blocks, each added to its input."""

    def __init__(self, blocks: list[nn.Module]):
        super().__init__()
        self.model = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.model:
            x = x + block(x)
        return x


class GDC(nn.Module):
    """(B,C,7,7) -> (B,D): a learned weight for every position of every channel, then a linear layer."""

    def __init__(self, channels: int, embedding_size: int):
        super().__init__()
        self.conv_6_dw = _linear_unit(channels, channels, 7, groups=channels)
        self.linear = nn.Linear(channels, embedding_size, bias=False)
        self.bn = nn.BatchNorm1d(embedding_size, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(self.conv_6_dw(x).flatten(1)))


class GNAP(nn.Module):
    """(B,C,7,7) -> (B,C): positions rescaled to one common feature norm, then averaged.

    The reference takes that common norm over the whole batch, in evaluation too, so an embedding depends on the other
    images of its batch (by about 1 %). That is the behaviour here unless `per_image` is set, which takes it over the
    image alone; the two agree on a batch of one.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels, affine=False)
        self.bn2 = nn.BatchNorm1d(channels, affine=False)
        self.per_image = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(x)
        norm = x.norm(dim=1, keepdim=True)
        common = norm.mean(dim=(1, 2, 3), keepdim=True) if self.per_image else norm.mean()
        return self.bn2((x * (common / norm)).mean(dim=(2, 3)))


class MobileFaceNet(nn.Module):
    """(B,3,112,112) in [-1,1] -> (B,D), not normalised."""

    def __init__(self, output_layer: nn.Module, width: float = 1.0, activation: str = "prelu"):
        super().__init__()
        c64, c128, c256, c512 = (scaled(channels, width) for channels in (64, 128, 256, 512))
        of = _Blocks(activation)
        self.conv1 = of.unit(3, c64, 3, stride=2, padding=1)
        self.conv2_dw = of.unit(c64, c64, 3, padding=1, groups=c64)
        self.conv_23 = of.bottleneck(c64, c64, c128, stride=2)
        self.conv_3 = of.residuals(c64, c128, count=4)
        self.conv_34 = of.bottleneck(c64, c128, c256, stride=2)
        self.conv_4 = of.residuals(c128, c256, count=6)
        self.conv_45 = of.bottleneck(c128, c128, c512, stride=2)
        self.conv_5 = of.residuals(c128, c256, count=2)
        self.conv_6_sep = of.unit(c128, c512, 1)
        self.output_layer = output_layer
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))
        x = self.conv_5(self.conv_45(self.conv_4(self.conv_34(x))))
        return self.output_layer(self.conv_6_sep(x))


def scaled(channels: int, width: float) -> int:
    """Channel count at a width multiplier, a multiple of 8 as vector units like it."""
    return max(8, round(channels * width / 8) * 8)


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=layer.in_features**-0.5)


def mobilefacenet(embedding_size: int, width: float = 1.0, activation: str = "prelu") -> nn.Module:
    """MobileFaceNet with the GDC tail."""
    return MobileFaceNet(GDC(scaled(512, width), embedding_size), width, activation)


def mobilefacenet_gnap(embedding_size: int, width: float = 1.0, activation: str = "prelu") -> nn.Module:
    """MobileFaceNet with the GNAP tail, whose embedding is as wide as its last feature map.

    Raises:
        ValueError: another embedding size was asked for.
    """
    if embedding_size != scaled(512, width):
        raise ValueError(f"the GNAP tail gives {scaled(512, width)} values at width {width:g}, not {embedding_size}")
    return MobileFaceNet(GNAP(embedding_size), width, activation)
