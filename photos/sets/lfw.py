"""Labeled Faces in the Wild from its photos to what configs/lfw.toml names: training faces, and sets of pairs.

    python -m photos lfw --out data/lfw                        downloads the photos (by scikit-learn) where they are not
    python -m photos lfw --out data/lfw --photos lfw --pairs pairs.txt

data/lfw/train.rec: everybody who is in no pair of folds 1, 2, 6 and 9. data/lfw/lfw.bin: the 6,000 official pairs.
data/golden/bins/lfw_folds12.bin: the 1,200 of folds 1 and 2, which are of people outside of the training faces, as ten
blocks of 60 pairs of one person and 60 of two, so that a 10-fold split in file order is balanced.
"""

import importlib
from pathlib import Path

from common.errors import DataError, UserError
from common.faces import FaceSource, open_source
from common.writers import new_folder
from photos.align import align
from photos.aligner import Aligner
from photos.detect import Found
from photos.pack import QUALITY, write_packed
from photos.sets.draw import Folds, read_pairs
from photos.sets.pairs import pack_pairs

HELD_OUT = (1, 2, 6, 9)
EXPECTED = "8,729 faces of 4,046 people"
"""What configs/lfw.toml counts: all of LFW found by YuNet."""
_BLOCKS = 10


def find_photos(data_home: Path | None) -> tuple[Path, Path]:
    """The folder of photos and pairs.txt where scikit-learn keeps them (`lfw_home`), downloaded if they are not there.

    data_home: scikit-learn's, else SCIKIT_LEARN_DATA or ~/scikit_learn_data. Raises UserError where scikit-learn is not
    installed or the download fails.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError:
        raise UserError(
            "scikit-learn downloads LFW and is not installed: `python -m pip install scikit-learn`, or give --photos "
            "and --pairs"
        ) from None
    home = Path(datasets.get_data_home(None if data_home is None else str(data_home))) / "lfw_home"
    photos, pairs = home / "lfw", home / "pairs.txt"
    if not photos.is_dir() or not pairs.is_file():
        try:
            # One person alone has 500 photos: the rest is downloaded and unpacked, not decoded.
            datasets.fetch_lfw_people(data_home=str(home.parent), funneled=False, min_faces_per_person=500)
        except OSError as error:
            raise UserError(
                f"{home}: the download failed ({str(error) or type(error).__name__}): check the network and run again, "
                "or give --photos and --pairs"
            ) from error
    return photos, pairs


def pairs_beside(photos: Path) -> Path:
    """pairs.txt in a folder of photos or beside it. Raises UserError where there is none."""
    for folder in (photos, photos.parent):
        if (folder / "pairs.txt").is_file():
            return folder / "pairs.txt"
    raise UserError(f"{photos}: no pairs.txt in it or beside it: say where it is with --pairs")


def make_lfw(
    out: Path, photos: Path, pairs: Path, aligner: Aligner, landmarks: dict[str, Found] | None, workers: int
) -> str:
    """Align the photos (into OUT-aligned, which is kept), pack, and write the sets. Returns what was made, in lines.

    Raises UserError where `out` exists, DataError for photos or pairs that are not LFW's.
    """
    folds = read_pairs(pairs)
    if len(folds) < max(HELD_OUT):
        raise DataError(f"{pairs}: {len(folds)} folds, LFW's pairs.txt has 10: give that file")
    folder = out.with_name(f"{out.name}-aligned")
    with new_folder(out, "LFW's making") as making:
        align(photos, folder, aligner, landmarks, workers)
        source = open_source(folder)
        told = [f"{out}: {write_packed(making, source, training_people(source, folds), QUALITY, False, workers)}"]
        if EXPECTED not in told[0]:
            told.append(
                f"  configs/lfw.toml expects {EXPECTED}: other photos or options. For these: --set faces.samples=none "
                "--set faces.identities=none"
            )
        told.append(pack_pairs(source, making / "lfw.bin", folds, True, QUALITY).replace(str(making), str(out)))
        evaluated = out.parent / "golden" / "bins" / "lfw_folds12.bin"
        told.append(pack_pairs(source, evaluated, blocks(folds[:2]), True, QUALITY))
    return "\n".join(told)


def training_people(source: FaceSource, folds: Folds) -> list[int]:
    """Labels of the people who are in no pair of the folds held out. Raises DataError where nobody is left."""
    held = {face.split("/")[0] for number in HELD_OUT for pair in folds[number - 1] for face in pair[:2]}
    chosen = [label for label, name in enumerate(source.people) if name not in held]
    if not chosen:
        raise DataError(f"{source.path}: everybody in it is in the folds held out: give all of LFW's photos")
    return chosen


def blocks(folds: Folds) -> Folds:
    """Ten folds of equal numbers of pairs of one person and of two, in the order of `folds`."""
    kinds = [[pair for fold in folds for pair in fold if pair.same is same] for same in (True, False)]
    cuts = [[len(kind) * block // _BLOCKS for block in range(_BLOCKS + 1)] for kind in kinds]
    return [
        [pair for kind, cut in zip(kinds, cuts, strict=True) for pair in kind[cut[block] : cut[block + 1]]]
        for block in range(_BLOCKS)
    ]
