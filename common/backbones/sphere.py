"""sphere20, sphere64: residual networks of SphereFace (Liu et al. 2017, table 2) as the PyTorch CosFace has them.

Its sphere64 has 7 units in the second stage, where the paper's table has 8. Keys are those of CosFace_pytorch
(`layer1.0.weight`, `layer3.4.prelu2.weight`, `fc.weight`). Input is 112 high and 96 wide. No batch norm; only the four
convolutions of stride 2 have a bias.
"""

from torch import Tensor, nn

from common.backbones.prelu import PReLU

UNITS = {20: (1, 2, 4, 1), 64: (3, 7, 16, 3)}


class Unit(nn.Module):
    """Two 3x3 convolutions, each with a PReLU, added to their input."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.prelu1 = PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.prelu2 = PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.prelu2(self.conv2(self.prelu1(self.conv1(x))))


class Sphere(nn.Module):
    """(B,3,112,96) in [-1,1] -> (B,D), not normalised."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, depth: int, embedding_size: int):
        super().__init__()
        inputs = 3
        for stage, (outputs, count) in enumerate(zip((64, 128, 256, 512), UNITS[depth], strict=True), start=1):
            halve = [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), PReLU(outputs)]
            self.add_module(f"layer{stage}", nn.Sequential(*halve, *(Unit(outputs) for _ in range(count))))
            inputs = outputs
        self.fc = nn.Linear(512 * 7 * 6, embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.flatten(1))
