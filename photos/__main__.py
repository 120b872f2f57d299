"""Raw photos become data sets, from the command line.

python -m photos align photos/ data/mine/aligned
"""

from pathlib import Path

import click

from common.cli import Commands


@click.group(cls=Commands, goes_on=("align",))
def main() -> None:
    """Find and align faces in photos, pack them, embed and compare them."""


@main.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def align(photos: Path, out: Path) -> None:
    """Find the faces in a folder of PHOTOS and write them, aligned, to OUT."""
    raise NotImplementedError


if __name__ == "__main__":
    main(prog_name="python -m photos")
