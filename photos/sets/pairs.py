"""A verification set in InsightFace's `.bin` format, of aligned faces: pairs of a protocol, or drawn at random.

    python -m photos pairs data/lfw-aligned data/lfw/lfw.bin --pairs pairs.txt
    python -m photos pairs data/mine-aligned data/mine.bin --draw 6000 --folds 10 --seed 0

NAME.json beside it keeps the pairs' names, the folds, and how the faces were aligned.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from common.errors import DataError, UserError
from common.faces import FaceSource, open_source, write_bin
from common.files import write_json
from common.text import printable
from photos.pack import QUALITY, described, packed
from photos.sets.draw import Folds, Pair, draw_pairs, read_pairs


def faces_by_name(source: FaceSource) -> dict[str, int]:
    """PERSON/NAME -> sample, of faces that are files of their own. Raises UserError for RecordIO, DataError for two
    files that differ only in their suffix."""
    found: dict[str, int] = {}
    for sample in range(len(source)):
        file = source.file(sample)
        if file is None:
            raise UserError(f"{source.path}: pairs name files: give the folder of aligned faces, not what is packed")
        name = file.rpartition(".")[0]
        if name in found:
            raise DataError(f"{source.name(sample)}: there is a file of that name with another suffix: remove one")
        found[name] = sample
    return found


def people_of(source: FaceSource) -> dict[str, list[str]]:
    """Person -> names of his or her faces, for `draw_pairs`."""
    people: dict[str, list[str]] = defaultdict(list)
    for name, sample in faces_by_name(source).items():
        people[source.people[source.label(sample)]].append(name)
    return people


def write_pairs(
    aligned: Path,
    out: Path,
    protocol: Path | None = None,
    draw: int | None = None,
    folds: int = 10,
    seed: int = 0,
    drop: bool = False,
    quality: int | None = QUALITY,
) -> str:
    """Write NAME.bin and NAME.json of a file of pairs, or of `draw` random ones. Returns what was written in a line.

    drop: leave out pairs of which a face is missing, and as many in the other folds, so that all stay of one size and
    balance. Raises DataError for missing faces otherwise, UserError where out is no .bin.
    """
    if out.suffix != ".bin":
        raise UserError(f"{out}: a set of pairs is a .bin file: call it {out.name}.bin")
    assert (protocol is None) != (draw is None)
    source = open_source(aligned)
    chosen = read_pairs(protocol) if protocol else draw_pairs(people_of(source), draw or 0, folds, seed)
    return pack_pairs(source, out, chosen, drop, quality)


def pack_pairs(source: FaceSource, out: Path, chosen: Folds, drop: bool, quality: int | None) -> str:
    """`write_pairs` of pairs at hand."""
    sample_of = faces_by_name(source)
    wanted = len([pair for fold in chosen for pair in fold])
    lost = {face for fold in chosen for pair in fold for face in pair[:2] if face not in sample_of}
    if lost and not drop:
        raise DataError(
            f"{source.path}: {len(lost):,} faces of the pairs are missing, such as {printable(min(lost))}: align them, "
            "or leave their pairs out with --drop-missing"
        )
    if lost:
        chosen = _evenly([[pair for pair in fold if not lost & {*pair[:2]}] for fold in chosen], source.path)
    pairs = [pair for fold in chosen for pair in fold]
    pictures, anew = [], False
    for pair in pairs:
        for face in pair[:2]:
            original = source.jpeg(sample_of[face])
            picture, _ = packed(original, source.name(sample_of[face]), quality)
            anew |= picture is not original
            pictures.append(picture)
    write_bin(out, pictures, [pair.same for pair in pairs])
    write_json(out.with_suffix(".json"), _account(chosen, lost, described(source, anew, quality)))
    left_out = f"; {wanted - len(pairs):,} left out, {len(lost):,} faces are missing" if lost else ""
    return f"{out}: {len(pairs):,} pairs in {len(chosen)} folds{left_out}"


def _evenly(folds: Folds, where: Path) -> Folds:
    """Folds cut to the fewest pairs of one person, and of two, that one of them has."""
    kinds = [[[pair for pair in fold if pair.same is same] for fold in folds] for same in (True, False)]
    same, different = (min(map(len, kind)) for kind in kinds)
    if not same or not different:
        raise DataError(f"{where}: a fold has no pairs left of which both faces are there: align more photos")
    return [[*one[:same], *two[:different]] for one, two in zip(*kinds, strict=True)]


def _account(folds: Folds, lost: set[str], aligner: dict[str, Any] | None) -> dict[str, Any]:
    def row(pair: Pair) -> list[Any]:
        return [printable(pair.first), printable(pair.second), int(pair.same)]

    account: dict[str, Any] = {"pairs": [row(pair) for fold in folds for pair in fold]}
    account |= {"folds": [len(fold) for fold in folds], "missing": sorted(map(printable, lost))}
    return account | ({"aligner": aligner} if aligner else {})
