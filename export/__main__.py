"""Weights on their way out, from the command line.

python -m export weights adaface_ir50_ms1mv2.ckpt ir50.safetensors
python -m export weights ir50_bare.pth ir50.safetensors --channel-order bgr
python -m export card    runs/lfw exports/lfw --faces-licence "research only"
python -m export push    exports/lfw owner/lfw-student
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


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--faces-licence", required=True, help="Of the faces it was trained on; unknown is an answer.")
@click.option("--teacher-licence", help="Of the teacher's weights, where they are not known by digest.")
@click.option("--licence", help="Of the student's weights; else they are for research only.")
@click.option("--best", is_flag=True, help="Of best.safetensors in place of the last step's student.")
@click.option("--sheets", is_flag=True, help="Pictures of the worst errors travel, too: they show people.")
def card(
    run: Path, out: Path, faces_licence: str, teacher_licence: str | None, licence: str | None, best: bool, sheets: bool
) -> None:
    """Complete the exports in OUT to a package that can be pushed: weights of RUN, card, digests."""
    from export.card import Licences, write_card
    from export.licence import RESEARCH_ONLY
    from export.run_record import read_run

    licences = Licences(faces_licence, teacher_licence, licence or RESEARCH_ONLY)
    say(f"card in {write_card(read_run(run, 'best' if best else 'last'), out, licences, sheets)}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="A repository that is made is not private.")
def push(folder: Path, repo: str, public: bool) -> None:
    """Send the package in FOLDER to a model repository on the HuggingFace Hub, in one commit."""
    from export.push import push as push_package

    say(f"{folder}: {push_package(folder, repo, public)} files in {repo}")


if __name__ == "__main__":
    main(prog_name="python -m export")
