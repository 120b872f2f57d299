"""A folder of photos to a folder of aligned faces: PERSON/NAME.png, faces.parquet, aligner.json.

Any number of workers give the same bytes. A killed run goes on; one that is finished looks for new and changed photos.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pyarrow as pa

from common.documents import read_document, read_regular
from common.errors import DataError, UserError
from common.faces import ALIGNER
from common.files import naming, write_json
from common.progress import progress
from common.writers import only_writer
from photos.aligned_names import stems
from photos.aligner import AlignedFace, Aligner
from photos.detect import Found, nothing
from photos.faces_table import NAME, UNFINISHED, Parts, Row, read_faces
from photos.find import Photo, find_photos
from photos.picture import LARGEST_FILE, decode_photo
from photos.pool import Crashed, Pool

_PHOTOS_A_PART, _SECONDS_A_PART = 2000, 20.0


Results = Generator[tuple["Task", list[Row] | Crashed], None, None]


class Task(NamedTuple):
    """A photo, the path of its aligned face without suffix, and its landmarks where they are given."""

    photo: Photo
    stem: str
    given: Found | None


@dataclass(frozen=True)
class Work:
    """What a worker does: aligns one photo, writes its faces, gives their rows."""

    photos: Path
    out: Path
    aligner: Aligner

    def __call__(self, task: Task) -> list[Row]:
        cv2.setNumThreads(1)  # a worker is a core's
        try:
            rgb = decode_photo(read_regular(self.photos / task.photo.path, largest=LARGEST_FILE))
        except DataError as error:
            return [rejected(task.photo, str(error).removeprefix(f"{self.photos / task.photo.path}: "))]
        faces = self.aligner.faces(rgb, task.given)
        if not faces:
            reason = "no face found" if task.given is None else "no landmarks given"
            return [{**rejected(task.photo, reason), "width": rgb.shape[1], "height": rgb.shape[0]}]
        return [self._row(task, number, face, rgb.shape) for number, face in enumerate(faces)]

    def _row(self, task: Task, number: int, face: AlignedFace, shape: tuple[int, ...]) -> Row:
        path, size = None, None
        if face.rgb is not None:
            first = self.aligner.choose == "central" or number == 0
            path = f"{task.stem}{'' if first else f'~{number + 1}'}.{self.aligner.encoding}"
            size = self._write(path, self.aligner.encode(face.rgb))
        found = {"box": face.box.tolist(), "landmarks": face.landmarks.ravel().tolist(), "score": face.score}
        told = {"face": number, "status": face.status, "reason": face.reason, "width": shape[1], "height": shape[0]}
        return {**about(task.photo), **told, **found, "aligned": path, "aligned_bytes": size}

    def _write(self, path: str, content: bytes) -> int:
        target, temporary = self.out / path, self.out / UNFINISHED / f"face-{os.getpid()}.tmp"
        with naming(target):
            target.parent.mkdir(exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, target)
        return len(content)


def align(photos: Path, out: Path, aligner: Aligner, landmarks: dict[str, Found] | None, workers: int) -> pa.Table:
    """Align all photos below a folder; the table of what became of each (photos/faces_table.py).

    landmarks: photo -> its faces, in place of a detector. Raises UserError where `out` holds faces aligned otherwise,
    or lies among the photos, and DataError where there are no photos.
    """
    _refuse_nested(photos, out)
    found = find_photos(photos)
    if not found.photos and not found.unusable:
        raise DataError(f"{photos}: no photos in it ({_list(found.others) or 'it is empty'})")
    with only_writer(out, "an alignment"):
        identify(out, aligner)
        parts = Parts(out)
        tasks = list(plan(found.photos, aligner, landmarks, out, parts.known))
        names = {photo.path for photo in found.photos} | {path for path, _ in found.unusable}
        before = set(parts.known["aligned"].drop_null().to_pylist())
        known = set(parts.known["photo"].to_pylist())
        if not tasks and known == names and (out / NAME).exists():
            return read_faces(out)
        parts.begin()
        parts.add([rejected(Photo(path, 0, 0), reason) for path, reason in found.unusable])
        with progress("aligning", len(found.photos), len(found.photos) - len(tasks), "photos") as advance:
            for rows in batches(Pool(Work(photos, out, aligner), min(workers, len(tasks))).run(tasks), advance):
                parts.add(rows)
        table = parts.finish(names)
        for path in before - set(table["aligned"].drop_null().to_pylist()):
            (out / path).unlink(missing_ok=True)  # of photos that are gone, or have no face any more
        return table


def identify(out: Path, aligner: Aligner) -> None:
    """Write aligner.json, or compare with the one that is there. Raises UserError naming the field and both values."""
    path, ours = out / ALIGNER, aligner.identity()
    if not path.exists():
        if out.is_dir() and any(not name.startswith(".") for name in os.listdir(out)):
            raise UserError(f"{out}: holds other things than aligned faces: choose an empty folder")
        write_json(path, ours)
        return
    theirs = read_identity(out)
    for field in sorted({*ours, *theirs}):
        if ours.get(field) != theirs.get(field):
            raise UserError(
                f"{out}: aligned with {field} {theirs.get(field)}, now it is {ours.get(field)}: choose another folder, "
                "or remove this one"
            )


def read_identity(folder: Path) -> dict[str, Any]:
    """How the faces in a folder were aligned: its aligner.json. Raises DataError where there is none."""
    return read_document(folder / ALIGNER, dict[str, Any], DataError, "align the photos again")


def plan(
    photos: list[Photo], aligner: Aligner, landmarks: dict[str, Found] | None, out: Path, known: pa.Table
) -> Iterator[Task]:
    """The photos that are to be aligned: all but those whose rows, sizes and aligned faces are there unchanged."""
    whole = _unchanged(out, known)
    for photo, stem in zip(photos, stems(photos), strict=True):
        first = whole.get((photo.path, photo.size, photo.modified))
        if first is None or (first and first.rpartition(".")[0].partition("~")[0] != stem):
            yield Task(photo, stem, None if landmarks is None else landmarks.get(photo.path, nothing()))


def _unchanged(out: Path, known: pa.Table) -> dict[tuple[str, int, int], str]:
    """(photo, bytes, modified) -> its first aligned face or "", for photos whose aligned faces are there."""
    whole: dict[tuple[str, int, int], str] = {}
    damaged = set()
    columns = ("photo", "photo_bytes", "photo_modified", "aligned", "aligned_bytes")
    for photo, size, modified, aligned, aligned_bytes in zip(*(known[c].to_pylist() for c in columns), strict=True):
        key = (photo, size, modified)
        whole[key] = whole.get(key) or aligned or ""
        if aligned is not None and _size(out / aligned) != aligned_bytes:
            damaged.add(key)
    return {key: first for key, first in whole.items() if key not in damaged}


def batches(results: Results, advance: Callable[[int], None]) -> Iterator[list[Row]]:
    """Rows as they are worth writing: of so many photos, or of so many seconds."""
    rows: list[Row] = []
    photos, began = 0, time.monotonic()
    try:
        for task, result in results:
            if isinstance(result, Crashed):
                rows.append(rejected(task.photo, f"it crashes what decodes or searches it ({result.by})"))
            else:
                rows += result
            photos += 1
            advance(1)
            if photos == _PHOTOS_A_PART or time.monotonic() - began > _SECONDS_A_PART:
                yield rows
                rows, photos, began = [], 0, time.monotonic()
    finally:
        results.close()
    yield rows


def about(photo: Photo) -> Row:
    """What a row says of the photo alone."""
    return {
        "photo": photo.path,
        "person": photo.person,
        "photo_bytes": photo.size,
        "photo_modified": photo.modified,
    }


def rejected(photo: Photo, reason: str) -> Row:
    """The row of a photo without a face."""
    return {**about(photo), "status": "rejected", "reason": reason}


def _refuse_nested(photos: Path, out: Path) -> None:
    inner, outer = out.resolve(), photos.resolve()
    if inner == outer or outer in inner.parents:
        raise UserError(f"{out}: lies among the photos in {photos}: choose a folder outside of it")


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _list(others: Counter[str]) -> str:
    return ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(others.items()))


def usable_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
