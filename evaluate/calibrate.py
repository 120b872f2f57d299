"""Calibrate a model: the cosines above which two faces are one person's, kept beside its weights."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from common.config import MeasureConfig
from common.embeddings import Row, Thresholds, embed_with_norms, protocol_of, sidecar_of, write_thresholds
from common.errors import DataError
from common.files import sha256_of
from common.models import FaceModel, identity_of
from common.progress import progress
from common.text import printable
from evaluate.files import load_bin
from evaluate.pair_people import people_of_pairs
from evaluate.protocols import RESAMPLES, operating_points, pair_distances, repeating
from evaluate.sets import DEFAULT


def calibrate_model(
    model: FaceModel,
    set_name: str,
    path: Path,
    fars: Sequence[float],
    out: Path | None = None,
    options: MeasureConfig = DEFAULT,
) -> Iterator[str]:
    """Find the thresholds of a model on a `.bin` set and keep them in `out`, else beside its weights; lines to print.

    Raises DataError for a set that is no `.bin`, and where its pairs of strangers show none of the FARs.
    """
    if path.is_dir():
        raise DataError(f"{path}: a cosine is calibrated on pairs of single pictures: give a .bin")
    pictures, issame = load_bin(path)
    with progress(printable(set_name), len(pictures)) as advance:
        name = f"{path}: picture"
        rows = embed_with_norms(model, pictures, options.batch_size, options.flip, advance, options.workers, name).rows
    cosines = 1 - pair_distances(rows[0::2], rows[1::2]) / 2
    people = repeating(people_of_pairs(pictures, issame))
    points = operating_points(cosines, issame, fars, people)
    impostors = int((~issame).sum())
    finest = f"{impostors:,} pairs of strangers show no FAR below {1 / impostors:.1e}"
    if not points:
        raise DataError(f"{path}: {finest}: give --far {1 / impostors:.0e} or more, or a larger set")
    known = Thresholds(
        model=identity_of(model.describe()),
        set=set_name,
        set_sha256=sha256_of(path),
        impostors=impostors,
        protocol=protocol_of(options.flip),
        resampled="pairs" if people is None else "people",
        resamples=RESAMPLES,
        rows=[Row(**asdict(point)) for point in points],
    )
    yield (
        f"{printable(model.path.name)}, {known.protocol}, on {set_name}: {impostors:,} pairs of strangers; intervals "
        f"by {RESAMPLES:,} draws of {known.resampled}"
    )
    rows_of_far = {row.far: row for row in known.rows}
    for far in fars:
        row = rows_of_far.get(far)
        yield f"FAR {far:g}: n/a: {finest}" if row is None else f"{row.text()}: TAR {100 * row.tar:.2f} %"
    where = out or sidecar_of(model.path)
    model.require_unchanged()
    write_thresholds(where, known)
    yield f"thresholds in {where}"
