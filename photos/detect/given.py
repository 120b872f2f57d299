"""Landmarks somebody gives, photo by photo, in place of a detector's.

    photo,x0,y0,x1,y1,x2,y2,x3,y3,x4,y4           CSV with a header, or Parquet with the columns (photo: text)
    NAME x0 y0 ... x4 y4                          text: lfw_landmark.txt of SphereFace's and CosFace's PyTorch ports
    NAME CLASS x0 y0 ... x4 y4                    text: casia_landmark.txt of the same
    NAME x0 y0 ... x4 y4 SCORE                    text: InsightFace's ijbc_name_5pts_score.txt
    ALIGNED <tab> NAME <tab> LABEL <tab> box (4) <tab> x0 ... x4 <tab> y0 ... y4     InsightFace's .lst, ALIGNED 0

NAME is the photo's path below its folder, with slashes. CSV and Parquet may also have box_x0, box_y0, box_x1, box_y1
and score. Several lines of one photo are several faces.
"""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from common.documents import read_regular
from common.errors import DataError
from common.text import printable
from photos.detect.found import Found

_POINTS = [f"{axis}{number}" for number in range(5) for axis in "xy"]
_BOX = ["box_x0", "box_y0", "box_x1", "box_y1"]
_LARGEST = 1e6  # pixels from the photo's corner

Face = tuple[str, list[float], list[float] | None, float]  # photo, ten coordinates, box, score
Parser = Callable[[str], Face]  # raises ValueError for a line of another format


def read_landmarks(path: Path) -> dict[str, Found]:
    """Photo -> its faces; a face without a box gets the one around its landmarks, without a score 1.

    Raises DataError with path and line for what is none of these formats, or no finite number of a photo's pixels.
    """
    faces: dict[str, list[tuple[list[float], list[float], float]]] = {}
    for where, (photo, points, box, score) in _faces(path):
        numbers = np.array([*points, *(box or []), score])
        if not np.isfinite(numbers).all() or np.abs(numbers).max() > _LARGEST:
            raise DataError(f"{path}: {where}: {printable(photo)}: numbers that are no pixels of a photo")
        around = [min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])]
        faces.setdefault(photo, []).append((box or around, points, score))
    if not faces:
        raise DataError(f"{path}: no landmarks in it")
    return {photo: _found(rows) for photo, rows in faces.items()}


def _found(rows: list[tuple[list[float], list[float], float]]) -> Found:
    boxes, points, scores = zip(*rows, strict=True)
    landmarks = np.array(points, np.float32).reshape(-1, 5, 2)
    return Found(np.array(boxes, np.float32), landmarks, np.array(scores, np.float32))


def _faces(path: Path) -> Iterator[tuple[str, Face]]:
    """Each face with the line or row it stands in, as errors call it."""
    match path.suffix.lower():
        case ".parquet":
            yield from _of_parquet(path)
        case ".csv":
            yield from _of_csv(path)
        case ".lst":
            yield from _of_lines(path, (_insightface_lst,))
        case ".txt":
            yield from _of_lines(path, (_lfw, _insightface, _casia))
        case other:
            raise DataError(f"{path}: landmarks are in a .csv, .parquet, .txt or .lst file, not {other or 'this'}")


def _of_parquet(path: Path) -> Iterator[tuple[str, Face]]:
    content = read_regular(path)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read ({error})") from error
    missing = [name for name in ("photo", *_POINTS) if name not in table.column_names]
    if missing:
        raise DataError(f"{path}: no column {missing[0]}: columns are photo, {', '.join(_POINTS)}")
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"row {number}", _of_row(path, f"row {number}", row)


def _of_csv(path: Path) -> Iterator[tuple[str, Face]]:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    missing = [name for name in ("photo", *_POINTS) if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: line 1: no column {missing[0]}: columns are photo, {', '.join(_POINTS)}")
    try:
        for row in reader:
            where = f"line {reader.line_num}"
            yield where, _of_row(path, where, row)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error


def _of_row(path: Path, where: str, row: dict[str, Any]) -> Face:
    def number(name: str) -> float:
        try:
            return float(row[name])
        except (TypeError, ValueError):
            raise DataError(f"{path}: {where}: {name} is {printable(repr(row[name]))}, not a number") from None

    boxed = all(row.get(name) not in (None, "") for name in _BOX)
    score = number("score") if row.get("score") not in (None, "") else 1.0
    box = [number(name) for name in _BOX] if boxed else None
    return str(row["photo"]), [number(name) for name in _POINTS], box, score


def _of_lines(path: Path, formats: tuple[Parser, ...]) -> Iterator[tuple[str, Face]]:
    """Lines of the first of these formats that takes the first line; the others must be of it too."""
    parser: Parser | None = None
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        parser = parser or next((one for one in formats if _takes(one, line)), None)
        if parser is None or not _takes(parser, line):
            shown = printable(line[:60])
            raise DataError(f"{path}: line {number}: {shown}: not a name and five points, as the lines before it")
        yield f"line {number}", parser(line)


def _takes(parser: Parser, line: str) -> bool:
    try:
        parser(line)
    except ValueError:
        return False
    return True


def _lfw(line: str) -> Face:
    name, *numbers = line.split()
    return name, _coordinates(numbers), None, 1.0


def _insightface(line: str) -> Face:
    name, *numbers, score = line.split()
    if not 0 <= float(score) <= 1:
        raise ValueError("a score is 0 to 1")
    return name, _coordinates(numbers), None, float(score)


def _casia(line: str) -> Face:
    name, label, *numbers = line.split()
    int(label)
    return name, _coordinates(numbers), None, 1.0


def _insightface_lst(line: str) -> Face:
    aligned, name, _label, *numbers = line.rstrip("\r\n").split("\t")
    box, x, y = numbers[:4], numbers[4:9], numbers[9:]
    if int(aligned) != 0:
        raise ValueError("aligned already")
    return name, _coordinates([one for pair in zip(x, y, strict=True) for one in pair]), [float(b) for b in box], 1.0


def _coordinates(numbers: list[str]) -> list[float]:
    if len(numbers) != 10:
        raise ValueError("five points are ten numbers")
    return [float(number) for number in numbers]


def _text(path: Path) -> str:
    try:
        return read_regular(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start}: not UTF-8 text") from error
