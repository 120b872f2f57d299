"""Aligned faces become a training set: MXNet RecordIO in InsightFace's layout, or a list of the files as they are.

    python -m photos pack data/mine-aligned data/mine          train.rec, train.idx, property, identities.json
    python -m photos pack data/mine-aligned data/mine-aligned.txt     a path and a label a line

`aligner.json` goes with the faces, so that a cache knows how they were aligned.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError, UserError
from common.faces import ALIGNER, NAMES, FaceSource, decode_rgb, encode_jpeg, open_source, write_list
from common.faces import write_recordio_dataset as write_recordio
from common.files import write_json
from common.progress import progress
from common.writers import new_folder

QUALITY = 95
_JPEG = b"\xff\xd8"


@dataclass
class _Packing:
    """What is being packed, and what was met on the way."""

    source: FaceSource
    quality: int | None
    skip: bool
    size: tuple[int, int] | None = None
    encoded_anew: bool = False
    people: list[str] = field(default_factory=list)
    faces: int = 0
    left_out: list[str] = field(default_factory=list)


def pack(
    aligned: Path,
    out: Path,
    quality: int | None = QUALITY,
    fewest: int = 1,
    skip: bool = False,
    workers: int = 1,
) -> str:
    """Write a folder of identity folders (or a list of faces) as train.rec, train.idx and property. Returns a line.

    quality: of the JPEG that other pictures become, JPEGs are copied; None keeps all as they are. fewest: people with
    fewer faces are left out. skip: leave out, instead of refusing, pictures that do not decode or are of another size.
    workers: threads; the files do not depend on them.

    Raises DataError naming a picture, and UserError where `out` exists.
    """
    source = open_source(aligned)
    chosen = np.flatnonzero(np.bincount(source.labels) >= fewest).tolist()
    if not chosen:
        raise DataError(f"{aligned}: nobody has {fewest} faces or more: ask for fewer")
    with new_folder(out, "a packing") as making:
        return f"{out}: {write_packed(making, source, chosen, quality, skip, workers)}"


def write_packed(
    folder: Path, source: FaceSource, chosen: list[int], quality: int | None, skip: bool, workers: int
) -> str:
    """`pack` of the people with these labels into a folder that is there."""
    packing = _Packing(source, quality, skip)
    total = int(np.bincount(source.labels)[chosen].sum())
    with ThreadPoolExecutor(workers) as pool, progress("packing", total) as advance:
        write_recordio(folder, _people(packing, chosen, pool, advance), _first_size(packing, chosen))
    write_json(folder / NAMES, packing.people)
    aligner = described(source, packing.encoded_anew, quality)
    if aligner is not None:
        write_json(folder / ALIGNER, aligner)
    told = [f"{packing.faces:,} faces of {len(packing.people):,} people"]
    if len(chosen) < source.num_classes:
        told.append(f"{source.num_classes - len(chosen):,} people left out")
    if packing.left_out:
        told.append(f"{len(packing.left_out):,} pictures left out, such as {packing.left_out[0]}")
    return "; ".join(told)


def list_faces(aligned: Path, out: Path, fewest: int = 1) -> str:
    """Write a list of the faces in identity folders, in their order, beside that folder or into it. Returns a line.

    Raises UserError for another place, where readers would not find the faces.
    """
    source = open_source(aligned)
    places = {aligned.resolve(): "", aligned.resolve().parent: f"{aligned.resolve().name}/"}
    start = places.get(out.resolve().parent)
    if start is None:
        raise UserError(f"{out}: a list stands beside its faces or among them: name a file in {aligned.parent}")
    counts = np.bincount(source.labels)
    kept = [sample for sample in range(len(source)) if counts[source.label(sample)] >= fewest]
    numbers = {label: number for number, label in enumerate(sorted({source.label(sample) for sample in kept}))}
    files = [source.file(sample) for sample in kept]
    if None in files:
        raise UserError(f"{aligned}: its faces are no files of their own: a list needs identity folders")
    write_list(out, [(f"{start}{file}", numbers[source.label(n)]) for file, n in zip(files, kept, strict=True)])
    return f"{out}: {len(kept):,} faces of {len(numbers):,} people"


def packed(picture: bytes, name: str, quality: int | None) -> tuple[bytes, tuple[int, int]]:
    """A picture as it is packed, and its (height, width). Raises DataError where it does not decode."""
    rgb = decode_rgb(picture, name)
    size = (rgb.shape[0], rgb.shape[1])
    return (picture if quality is None or picture.startswith(_JPEG) else encode_jpeg(rgb, quality)), size


def described(source: FaceSource, encoded_anew: bool, quality: int | None) -> dict[str, Any] | None:
    """The aligner of packed faces: that of the source, and what packing did to its pixels."""
    if source.aligner is None:
        return None
    return {**source.aligner, **({"packed": f"jpg {quality}"} if encoded_anew else {})}


def _first_size(packing: _Packing, chosen: list[int]) -> tuple[int, int]:
    """(height, width) of the first picture that decodes; all others are to be of it."""
    for sample in np.flatnonzero(np.isin(packing.source.labels, chosen)).tolist():
        try:
            rgb = packing.source.rgb(sample)
        except DataError:
            if not packing.skip:
                raise
            continue
        packing.size = (rgb.shape[0], rgb.shape[1])
        return packing.size
    raise DataError(f"{packing.source.path}: no picture in it decodes")


def _people(packing: _Packing, chosen: list[int], pool: ThreadPoolExecutor, advance: Any) -> Iterator[list[bytes]]:
    """The pictures of each person who has some."""
    source = packing.source
    order = np.argsort(source.labels, kind="stable")
    starts = np.searchsorted(source.labels[order], np.arange(source.num_classes + 1))
    for label in chosen:
        samples = order[starts[label] : starts[label + 1]].tolist()
        found = list(pool.map(partial(_picture, packing), samples))
        advance(len(samples))
        packing.left_out += [one for one in found if isinstance(one, str)]
        packing.encoded_anew |= any(isinstance(one, _Anew) for one in found)
        pictures = [one for one in found if isinstance(one, bytes)]
        if pictures:
            packing.people.append(source.people[label])
            packing.faces += len(pictures)
            yield pictures


class _Anew(bytes):
    """A picture that was encoded here."""


def _picture(packing: _Packing, sample: int) -> bytes | str:
    """The picture as it is packed, or why it is left out."""
    source = packing.source
    try:
        original = source.jpeg(sample)
        picture, size = packed(original, source.name(sample), packing.quality)
        if size != packing.size:
            raise DataError(
                f"{source.name(sample)}: {size[0]}x{size[1]} pixels, the first face has {packing.size}: align all "
                "faces to one size"
            )
    except DataError as error:
        if not packing.skip:
            raise
        return str(error)
    return picture if picture is original else _Anew(picture)
