"""InsightFace's `mbf`: MobileFaceNet (Chen et al. 2018) at twice the width, with an affine last batch norm.

Keys are those of arcface_torch (`layers.3.layers.0.layers.1.layers.0.weight`, `conv_sep.layers.0.weight`,
`features.layers.2.weight`). The second layer is a grouped convolution of two channels a group, not a depthwise one.
"""

from torch import Tensor, nn

from common.backbones.blocks import conv_bn, conv_bn_prelu


class Layers(nn.Module):
    """A sequence kept under the name `layers`, which is how all of this network's keys come about."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Residuals(Layers):
    """Each layer added to its input."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Module:
    return Layers(*conv_bn_prelu(inputs, outputs, kernel, stride, padding, groups))


def _bottleneck(inputs: int, outputs: int, inner: int, stride: int) -> nn.Module:
    depthwise = _unit(inner, inner, 3, stride, 1, groups=inner)
    return Layers(_unit(inputs, inner, 1), depthwise, Layers(*conv_bn(inner, outputs, 1)))


def _residuals(channels: int, count: int) -> nn.Module:
    return Residuals(*(_bottleneck(channels, channels, channels, stride=1) for _ in range(count)))


class MBF(nn.Module):
    """(B,3,112,112) in [-1,1] -> (B,D), not normalised."""

    def __init__(self, embedding_size: int):
        super().__init__()
        self.layers = nn.Sequential(
            _unit(3, 128, 3, stride=2, padding=1),
            _unit(128, 128, 3, padding=1, groups=64),
            _bottleneck(128, 128, 128, stride=2),
            _residuals(128, count=4),
            _bottleneck(128, 256, 256, stride=2),
            _residuals(256, count=6),
            _bottleneck(256, 256, 512, stride=2),
            _residuals(256, count=2),
        )
        self.conv_sep = _unit(256, 512, 1)
        self.features = Layers(
            Layers(*conv_bn(512, 512, 7, groups=512)),
            nn.Flatten(),
            nn.Linear(512, embedding_size, bias=False),
            nn.BatchNorm1d(embedding_size),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.features(self.conv_sep(self.layers(x)))
