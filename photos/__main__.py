"""Raw photos become data sets, from the command line.

python -m photos align photos/ data/mine/aligned
python -m photos align --detector mtcnn --size 112x96 --choose all photos/ data/mine/aligned
python -m photos info data/mine/aligned
python -m photos embed --model student.safetensors --in photos/ --out results/
python -m photos compare --model student.safetensors A.jpg B.jpg
python -m photos gallery --model student.safetensors --gallery people/ --in new/ --out results/
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.cli import Commands, threshold_options
from common.output import say
from photos.options import aligner_options, chosen_aligner, model_options, opened

if TYPE_CHECKING:
    from photos.embed import Faces


@click.group(cls=Commands, goes_on=("align", "embed", "gallery"))
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


photos_option = click.option(
    "--in", "photos", type=click.Path(path_type=Path), required=True, help="Folder of photos, one folder a person."
)
results_option = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the results.")
batch_option = click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
workers_option = click.option("--workers", type=click.IntRange(1), help="Processes that align; else one a core.")


@main.command()
@photos_option
@results_option
@model_options
@batch_option
@workers_option
def embed(photos: Path, out: Path, batch_size: int, workers: int | None, **options: Any) -> None:
    """Embed the faces in a folder of photos: arrays, a table, their cosines, the most and least similar pairs."""
    from photos.embed import embed_photos

    model, flip, _, choice = opened(**options)
    for line in embed_photos(model, _faces(photos, out / "aligned", choice, workers), out, flip, batch_size):
        say(line)


@main.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@model_options
@threshold_options
def compare(first: Path, second: Path, given: float | None, far: float | None, **options: Any) -> None:
    """Say whether the photos FIRST and SECOND show one person."""
    from common.embeddings import choose_cut
    from photos.embed import compare_photos

    model, flip, thresholds, choice = opened(**options)
    cut = choose_cut(model, flip, given, far, thresholds)
    for line in compare_photos(model, choice[0] if choice else None, (first, second), cut, flip):
        say(line)


@main.command()
@click.option("--gallery", type=click.Path(path_type=Path), required=True, help="Photos of the people to look among.")
@photos_option
@results_option
@click.option("-k", "k", type=click.IntRange(1), default=3, show_default=True, help="Neighbours of each face.")
@model_options
@threshold_options
@batch_option
@workers_option
def gallery(
    gallery: Path,
    photos: Path,
    out: Path,
    k: int,
    given: float | None,
    far: float | None,
    batch_size: int,
    workers: int | None,
    **options: Any,
) -> None:
    """Find the people of a gallery in a folder of photos."""
    from common.embeddings import choose_cut
    from photos.embed import find_people

    model, flip, thresholds, choice = opened(**options)
    cut = choose_cut(model, flip, given, far, thresholds)
    known, asked = _faces(gallery, out / "gallery", choice, workers), _faces(photos, out / "probes", choice, workers)
    for line in find_people(model, known, asked, k, cut, out / "neighbours.csv", flip, batch_size):
        say(line)


def _faces(photos: Path, out: Path, choice: Any, workers: int | None) -> "Faces":
    from photos.align import usable_cores
    from photos.embed import aligned_by, as_they_are

    if choice is None:
        return as_they_are(photos)
    aligner, landmarks = choice
    return aligned_by(aligner, landmarks, photos, out, workers or usable_cores())


if __name__ == "__main__":
    main(prog_name="python -m photos")
