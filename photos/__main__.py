"""Raw photos become data sets, from the command line.

python -m photos align photos/ data/mine-aligned
python -m photos align --detector mtcnn --size 112x96 --choose all photos/ data/mine-aligned
python -m photos pack data/mine-aligned data/mine
python -m photos pairs data/mine-aligned data/mine.bin --draw 6000
python -m photos report data/mine-aligned reports/mine --photos photos/
python -m photos lfw --out data/lfw
python -m photos ijb IJB_release/IJBC data/IJBC_aligned
python -m photos tinyface data/tinyface_release data/tinyface
python -m photos info data/mine-aligned
python -m photos embed --model student.safetensors --in photos/ --out results/
python -m photos compare --model student.safetensors A.jpg B.jpg
python -m photos gallery --model student.safetensors --gallery people/ --in new/ --out results/
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from common.cli import Commands, threshold_options
from common.output import say
from common.text import folded
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


_KEEP = click.option("--keep", is_flag=True, help="Keep pictures as they are; else PNGs become JPEGs of --quality.")
_QUALITY = click.option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEGs.")


@main.command()
@click.argument("aligned", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_QUALITY
@_KEEP
@click.option("--min-faces", type=click.IntRange(1), default=1, show_default=True, help="People with fewer: left out.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that do not decode or are of another size.")
@click.option("--workers", type=click.IntRange(1), help="Threads; as many as there are cores if not told.")
def pack(
    aligned: Path, out: Path, quality: int, keep: bool, min_faces: int, skip_bad: bool, workers: int | None
) -> None:
    """Pack a folder of ALIGNED faces into the folder OUT (train.rec, train.idx, property), or list them in OUT.txt."""
    from photos.align import usable_cores
    from photos.pack import list_faces
    from photos.pack import pack as pack_faces

    if out.suffix == ".txt":
        say(list_faces(aligned, out, min_faces))
    else:
        say(pack_faces(aligned, out, None if keep else quality, min_faces, skip_bad, workers or usable_cores()))


@main.command()
@click.argument("aligned", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pairs", type=click.Path(path_type=Path), help="LFW's pairs.txt, or .csv: first,second,same[,fold].")
@click.option("--draw", type=click.IntRange(2), metavar="N", help="So many pairs at random, half of one person.")
@click.option("--folds", type=click.IntRange(1), default=10, show_default=True, help="Of --draw; they share no person.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of --draw.")
@click.option("--drop-missing", is_flag=True, help="Leave out pairs whose faces are missing, evenly in all folds.")
@_QUALITY
@_KEEP
def pairs(
    aligned: Path,
    out: Path,
    pairs: Path | None,
    draw: int | None,
    folds: int,
    seed: int,
    drop_missing: bool,
    quality: int,
    keep: bool,
) -> None:
    """Write pairs of ALIGNED faces as a verification set, OUT.bin."""
    from photos.sets import write_pairs

    if (pairs is None) == (draw is None):
        raise click.UsageError("say which pairs: --pairs FILE or --draw N")
    say(write_pairs(aligned, out, pairs, draw, folds, seed, drop_missing, None if keep else quality))


@main.command()
@click.argument("aligned", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--photos", type=click.Path(path_type=Path), help="The photos, for a sheet of those without a face.")
def report(aligned: Path, out: Path, photos: Path | None) -> None:
    """What became of the photos of an ALIGNED folder: report.md, sheets of the rejects and of the worst scores."""
    from photos.report import write_report

    say(write_report(aligned, out, photos))


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default="data/lfw", show_default=True, help="In the data root.")
@click.option("--photos", type=click.Path(path_type=Path), help="LFW's 250x250 photos, instead of a download.")
@click.option("--pairs", type=click.Path(path_type=Path), help="pairs.txt; else in the folder of photos or beside it.")
@click.option("--data-home", type=click.Path(path_type=Path), help="Where scikit-learn keeps its downloads.")
@click.option("--workers", type=click.IntRange(1), help="Processes; as many as there are cores if not told.")
@aligner_options
def lfw(
    out: Path, photos: Path | None, pairs: Path | None, data_home: Path | None, workers: int | None, **options: Any
) -> None:
    """Make the training faces and sets of configs/lfw.toml from LFW's photos."""
    from photos.align import usable_cores
    from photos.sets import find_photos, make_lfw, pairs_beside

    if photos is None:
        photos, found = find_photos(data_home)
        pairs = pairs or found
    aligner, landmarks = chosen_aligner(**options)
    say(make_lfw(out, photos, pairs or pairs_beside(photos), aligner, landmarks, workers or usable_cores()))


@main.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--workers", type=click.IntRange(1), help="Threads; as many as there are cores if not told.")
def ijb(package: Path, out: Path, workers: int | None) -> None:
    """Write InsightFace's PACKAGE of IJB-B or IJB-C (loose_crop, meta) as a set to evaluate on, 1:1 and 1:N."""
    from photos.align import usable_cores
    from photos.sets import write_ijb

    say(write_ijb(package, out, workers or usable_cores()))


@main.command()
@click.argument("release", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--faces", type=click.Path(path_type=Path), help="Folder of aligned faces, where there are several.")
def tinyface(release: Path, out: Path, faces: Path | None) -> None:
    """Write TinyFace's RELEASE (aligned faces beside tinyface/Testing_Set) as a set to evaluate on."""
    from photos.sets import write_tinyface

    say(write_tinyface(release, out, faces))


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
def info(path: Path) -> None:
    """What is in PATH (aligned or packed faces, a list, a .bin) and how its faces were aligned."""
    from photos.info import describe

    say(describe(path))


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
        say(folded(line))


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
        say(folded(line))


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
        say(folded(line))


def _faces(photos: Path, out: Path, choice: Any, workers: int | None) -> "Faces":
    from photos.align import usable_cores
    from photos.embed import aligned_by, as_they_are

    if choice is None:
        return as_they_are(photos)
    aligner, landmarks = choice
    return aligned_by(aligner, landmarks, photos, out, workers or usable_cores())


if __name__ == "__main__":
    main(prog_name="python -m photos")
