"""IResNet: the improved ResNets of ArcFace (Deng et al. 2019) as InsightFace's arcface_torch trains them.

Keys are InsightFace's (`conv1.weight`, `layer3.0.bn1.running_mean`, `features.weight`); the AdaDistill repositories
use the same and may add squeeze-and-excitation (Hu et al. 2018) as `layerX.Y.se_block.fc1|fc2.weight`.
"""

from torch import Tensor, nn

from common.backbones.blocks import conv_bn, conv_bn_prelu, residual_branch

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
SE_REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Channels weighted by a gate computed from their means."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // SE_REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // SE_REDUCTION, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Unit(nn.Module):
    """One residual unit; the first of a stage projects its shortcut, even where the width stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, se: bool):
        super().__init__()
        self.bn1, self.conv1, self.bn2, self.prelu, self.conv2, self.bn3 = residual_branch(inputs, outputs, stride)
        self.downsample = nn.Sequential(*conv_bn(inputs, outputs, 1, stride)) if stride > 1 else None
        self.se_block = SqueezeExcite(outputs) if se else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return shortcut + (x if self.se_block is None else self.se_block(x))


class IResNet(nn.Module):
    """(B,3,112,112) in [-1,1] -> (B,D), not normalised."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depth: int, embedding_size: int, se: bool = False):
        super().__init__()
        self.conv1, self.bn1, self.prelu = conv_bn_prelu(3, 64, 3, padding=1)
        inputs = 64
        for stage, (outputs, count) in enumerate(zip((64, 128, 256, 512), UNITS[depth], strict=True), start=1):
            first = Unit(inputs, outputs, stride=2, se=se)
            rest = (Unit(outputs, outputs, stride=1, se=se) for _ in range(count - 1))
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            inputs = outputs
        self.bn2 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512 * 7 * 7, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size)
        # A frozen scale of 1, as in InsightFace: the margin losses normalise the embedding anyway.
        self.features.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))
