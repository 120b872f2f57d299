"""IR networks: the improved ResNets of ArcFace (Deng et al. 2019) as AdaFace (Kim et al. 2022) and CVLFace train them.

Keys are those of both (`input_layer.0.weight`, `body.3.res_layer.4.weight`, `output_layer.3.weight`), in their order:
input, output, body. Not the same function as `iresnet.py`: the first unit's shortcut has no parameters and the last
batch norm no affine. AdaFace's own module returns (x / |x|, |x|); this one returns x, as CVLFace's does.
"""

from torch import Tensor, nn

from common.backbones.blocks import conv_bn, conv_bn_prelu, residual_branch

UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 101: (3, 13, 30, 3)}


class Unit(nn.Module):
    """One residual unit; where the width stays, the shortcut only drops positions."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.shortcut_layer: nn.Module
        if inputs == outputs:
            self.shortcut_layer = nn.MaxPool2d(1, stride)
        else:
            self.shortcut_layer = nn.Sequential(*conv_bn(inputs, outputs, 1, stride))
        self.res_layer = nn.Sequential(*residual_branch(inputs, outputs, stride))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut_layer(x) + self.res_layer(x)


class IR(nn.Module):
    """(B,3,112,112) in [-1,1] -> (B,D), not normalised."""

    def __init__(self, depth: int, embedding_size: int):
        super().__init__()
        self.input_layer = nn.Sequential(*conv_bn_prelu(3, 64, 3, padding=1))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * 7 * 7, embedding_size),
            nn.BatchNorm1d(embedding_size, affine=False),
        )
        units: list[nn.Module] = []
        inputs = 64
        for outputs, count in zip((64, 128, 256, 512), UNITS[depth], strict=True):
            units += [Unit(inputs, outputs, stride=2), *(Unit(outputs, outputs, stride=1) for _ in range(count - 1))]
            inputs = outputs
        self.body = nn.Sequential(*units)

    def forward(self, x: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(x)))
