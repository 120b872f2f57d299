import pytest
import torch
from torch import nn
from torch.nn import functional as F

from common.backbones.prelu import PReLU


@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_torchs(shape, layout):
    torch.manual_seed(0)
    ours, theirs = PReLU(3).double(), nn.PReLU(3).double()
    with torch.no_grad():
        for layer in (ours, theirs):
            layer.weight.copy_(torch.tensor([0.25, -0.5, 1.5]))
    x = torch.randn(shape, dtype=torch.float64)
    x.view(-1)[::7] = 0
    if len(shape) == 4:
        x = x.contiguous(memory_format=layout)
    upstream = torch.randn(shape, dtype=torch.float64)
    results = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        y.backward(upstream)
        results.append((y.detach(), leaf.grad, layer.weight.grad))
    for mine, reference in zip(*results, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-12)


def test_under_autocast_the_slope_keeps_a_float32_gradient():
    layer, x = PReLU(4), torch.randn(2, 4, 8, 8)
    conv = nn.Conv2d(4, 4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(conv(x))
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert layer.weight.grad.dtype == torch.float32
    expected = F.prelu(conv(x), layer.weight)
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)
