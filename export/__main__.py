"""Weights on their way out, from the command line.

python -m export weights adaface_ir50_ms1mv2.ckpt ir50.safetensors
python -m export weights ir50_bare.pth ir50.safetensors --channel-order bgr
"""

from pathlib import Path

import click

from common.cli import Commands
from common.config import ChannelOrder
from common.output import say


@click.group(cls=Commands)
def main() -> None:
    """Write networks in the formats in which others use them."""


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--architecture", help="Only if the keys do not tell; as `architecture` in docs/teachers.md.")
@click.option("--embedding-size", type=click.IntRange(min=1))
@click.option("--channel-order", type=click.Choice(["rgb", "bgr"]), help="What the network was trained on.")
@click.option("--mean", type=float, help="Pixels 0..255 enter as (x - mean) / std.")
@click.option("--std", type=float)
def weights(
    source: Path,
    target: Path,
    architecture: str | None,
    embedding_size: int | None,
    channel_order: ChannelOrder | None,
    mean: float | None,
    std: float | None,
) -> None:
    """Write the checkpoint SOURCE as TARGET.safetensors that needs no options to open."""
    from common.models import Preset, convert_checkpoint

    stated = Preset(architecture, embedding_size, None, channel_order, mean, std)
    contract = convert_checkpoint(source, target, stated)
    say(f"{target}: " + ", ".join(f"{key} {value}" for key, value in contract.to_metadata().items()))


if __name__ == "__main__":
    main(prog_name="python -m export")
