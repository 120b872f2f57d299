"""IJB-B and IJB-C as InsightFace packs them become the set that `python -m evaluate` reads.

    python -m photos ijb IJB_release/IJBC data/IJBC_aligned

A crop is aligned by the five points given with it, by InsightFace's own recipe: the similarity transform that brings
them nearest to ArcFace's 112x112 template in least squares (Umeyama, PAMI 1991; theirs is scikit-image's
`SimilarityTransform.estimate`, in `recognition/arcface_torch/eval_ijbc.py`), then a bilinear warp, black outside, with
nothing against aliasing however large the crop is.
Faces are kept without loss, as PNG.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.faces import ALIGNER, decode_rgb, write_arrow, write_protocol
from common.files import sha256_of, write_json
from common.progress import progress
from common.text import printable
from common.writers import new_folder
from photos.sets.ijb_meta import Crops, read_crops, read_media, read_pairs, read_people
from photos.transform import SIZES, aligned

SIZE = (112, 112)
LARGEST_CROP = 1 << 28  # bytes
_AHEAD = 256  # faces that wait to be written, at most


def write_ijb(package: Path, out: Path, workers: int = 1) -> str:
    """Write the aligned set of an IJBB or IJBC folder (`loose_crop`, `meta`) to a new folder. Returns what was found.

    The files do not depend on `workers`, a number of threads. Raises DataError naming file and line.
    """
    meta, name = _meta_files(package)
    crops = read_crops(meta / f"{name}_name_5pts_score.txt")
    protocol = _protocol(meta, name, crops)
    with new_folder(out, "an IJB set's writing") as making, ThreadPoolExecutor(workers) as pool:
        with progress(name, len(crops.names)) as advance:
            faces = _faces(package / "loose_crop", meta / f"{name}_name_5pts_score.txt", crops, pool)
            write_arrow(making, _counted(faces, advance), len(crops.names))
        write_protocol(making, protocol)
        write_json(making / ALIGNER, _aligner(meta / f"{name}_name_5pts_score.txt"))
    kinds = f"{len(np.unique(protocol['templates'])):,} templates, {len(protocol['label']):,} pairs"
    people = f"{len(protocol['probe_templates']):,} probes" if "probe_templates" in protocol else "no 1:N split in meta"
    return f"{out}: {len(crops.names):,} faces, {kinds}, {people}"


def _meta_files(package: Path) -> tuple[Path, str]:
    """The folder of text files, and `ijbb` or `ijbc`, with which their names begin."""
    meta = package / "meta"
    found = [name for name in ("ijbb", "ijbc") if (meta / f"{name}_name_5pts_score.txt").exists()]
    if len(found) != 1 or not (package / "loose_crop").is_dir():
        raise DataError(
            f"{package}: expected loose_crop/ and meta/ijbc_name_5pts_score.txt (or ijbb_...): give the folder IJBC or "
            "IJBB of InsightFace's package"
        )
    return meta, found[0]


def _protocol(meta: Path, name: str, crops: Crops) -> dict[str, np.ndarray]:
    """The protocol's arrays by the names that published sets have."""
    templates, media = read_media(meta / f"{name}_face_tid_mid.txt", crops.names)
    there = np.unique(templates)
    first, second, label = read_pairs(meta / f"{name}_template_pair_label.txt", there)
    arrays = {"faceness_scores": crops.scores, "templates": templates, "medias": media}
    arrays |= {"p1": first, "p2": second, "label": label}
    letter = {"ijbb": "S", "ijbc": "G"}[name]
    files = {f"g{number}": meta / f"{name}_1N_gallery_{letter}{number}.csv" for number in (1, 2)}
    files["probe"] = meta / f"{name}_1N_probe_mixed.csv"
    missing = [file for file in files.values() if not file.exists()]
    if len(missing) == len(files):
        return arrays
    if missing:
        raise DataError(f"{missing[0]}: missing, though others of the 1:N split are there: copy it, or remove them")
    for part, file in files.items():
        arrays[f"{part}_templates"], arrays[f"{part}_subjects"] = read_people(file, there, part != "probe")
    enrolled = np.concatenate([arrays["g1_subjects"], arrays["g2_subjects"]])
    strangers = np.setdiff1d(arrays["probe_subjects"], enrolled)
    if len(strangers):
        raise DataError(f"{files['probe']}: person {strangers[0]} is in neither gallery: copy the three files again")
    return arrays


def _aligner(landmarks: Path) -> dict[str, Any]:
    """How the faces were aligned, in the words of `python -m photos align`."""
    given = {"name": "given", "landmarks_sha256": sha256_of(landmarks)}
    return {"detector": given, "size": list(SIZE), "template": SIZES[SIZE], "resampling": "bilinear 1/32"}


def _faces(folder: Path, listed: Path, crops: Crops, pool: ThreadPoolExecutor) -> Iterator[bytes]:
    """The aligned faces as PNG, in order; a bounded number is made ahead."""
    for start in range(0, len(crops.names), _AHEAD):
        rows = range(start, min(start + _AHEAD, len(crops.names)))
        yield from pool.map(partial(_face, folder, listed, crops), rows)


def _face(folder: Path, listed: Path, crops: Crops, row: int) -> bytes:
    path = folder / crops.names[row]
    try:
        rgb = decode_rgb(read_regular(path, DataError, "", LARGEST_CROP), printable(path))
        face = aligned(rgb, crops.landmarks[row], SIZE, antialias=False)
    except ValueError as error:
        raise DataError(f"{listed}: line {row + 1}: {error}: copy it again") from None
    return png_of(face)


def png_of(rgb: np.ndarray) -> bytes:
    """PNG bytes of a uint8 (H,W,3) RGB picture: exact, and as fast as PNG is."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return encoded.tobytes()


def _counted(faces: Iterator[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for face in faces:
        yield face
        advance(1)
