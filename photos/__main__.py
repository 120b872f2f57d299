"""Raw photos become data sets, from the command line.

python -m photos align photos/ data/mine/aligned
python -m photos align --detector mtcnn --size 112x96 --choose all photos/ data/mine/aligned
python -m photos info data/mine/aligned
"""

from pathlib import Path
from typing import Any

import click

from common.cli import Commands
from common.output import say
from photos.options import aligner_options, chosen_aligner


@click.group(cls=Commands, goes_on=("align",))
def main() -> None:
    """Find and align faces in photos, pack them, embed and compare them."""


@main.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@aligner_options
@click.option(
    "--encoding", type=click.Choice(["png", "jpg"]), default="png", show_default=True, help="jpg: quality 95."
)
@click.option("--workers", type=click.IntRange(1), help="Processes; as many as there are cores if not told.")
def align(photos: Path, out: Path, workers: int | None, **options: Any) -> None:
    """Find the faces in a folder of PHOTOS, one folder a person, and write them, aligned, to OUT."""
    from photos.align import align as align_folder
    from photos.align import usable_cores
    from photos.faces_table import summary

    aligner, landmarks = chosen_aligner(**options)
    table = align_folder(photos, out, aligner, landmarks, workers or usable_cores())
    say(f"{out}: {summary(table)}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def info(folder: Path) -> None:
    """How the faces in an aligned FOLDER were made, and what became of the photos."""
    from photos.align import read_identity
    from photos.faces_table import read_faces, summary

    identity = read_identity(folder)
    say(f"{folder}: {summary(read_faces(folder))}")
    for name, value in {**identity.pop("detector", {}), **identity}.items():
        say(f"  {name:<15} {value}")


if __name__ == "__main__":
    main(prog_name="python -m photos")
