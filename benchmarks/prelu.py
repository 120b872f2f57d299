"""What the vectorised gradient of PReLU buys a training step on a CPU.

    python benchmarks/prelu.py [--backbone mobilefacenet] [--batch 32] [--threads 1]

Prints processor seconds of forward + backward with either, interleaved in one run, and their ratio.
"""

import statistics
import time

import click
import torch
from torch import nn

from benchmarks.spread import ratio_text
from common.backbones import PReLU, build_backbone


@click.command()
@click.option("--backbone", default="mobilefacenet", show_default=True)
@click.option("--batch", default=32, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(backbone: str, batch: int, threads: int, rounds: int) -> None:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build_backbone(backbone, 128).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    faces = torch.randn(batch, 3, 112, 112).contiguous(memory_format=torch.channels_last)
    layers = [layer for layer in network.modules() if isinstance(layer, PReLU)]

    def step(low: bool, kind: type[nn.PReLU]) -> float:
        for layer in layers:
            layer.__class__ = kind
        began = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            out = network(faces)
        out.float().square().mean().backward()
        return time.process_time() - began

    for low in (False, True):
        for kind in (nn.PReLU, PReLU):
            step(low, kind)
        torchs, ours = zip(*((step(low, nn.PReLU), step(low, PReLU)) for _ in range(rounds)), strict=True)
        a, b = statistics.median(torchs), statistics.median(ours)
        precision, ratio = "bfloat16" if low else "float32", ratio_text(torchs, ours)
        print(f"{backbone} {precision}: torch {a:.2f} s, ours {b:.2f} s, ratio {ratio}")


if __name__ == "__main__":
    main()
