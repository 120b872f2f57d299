"""The text files in the `meta` folder of InsightFace's IJB-B and IJB-C packages, each checked line by line.

    ijbc_name_5pts_score.txt        NAME x y x y x y x y x y SCORE     a face, five landmarks, the detector's score
    ijbc_face_tid_mid.txt           NAME TEMPLATE MEDIUM               the same faces in the same order
    ijbc_template_pair_label.txt    TEMPLATE TEMPLATE 0|1              1 for the same person
    ijbc_1N_gallery_G1.csv          TEMPLATE,PERSON,...                behind a heading; a line a picture

IJB-B's begin with `ijbb`, and its galleries are S1 and S2. Source: InsightFace `recognition/arcface_torch/eval_ijbc.py`
and `recognition/_evaluation_/ijb/ijb_1n.py`, as documents of the layout.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from common.documents import read_regular
from common.errors import DataError
from common.text import printable

LARGEST = 4 << 30
_WAY_OUT = "copy it from InsightFace's package again"


class Crops(NamedTuple):
    """R faces. names: paths below loose_crop. landmarks: float32 (R,5,2), x and y. scores: float32 (R,)."""

    names: list[str]
    landmarks: np.ndarray
    scores: np.ndarray


def read_crops(path: Path) -> Crops:
    """NAME_5pts_score.txt. Raises DataError naming file and line."""
    names: list[str] = []
    numbers: list[list[float]] = []
    for line, fields in _lines(path, 12):
        name = PurePosixPath(fields[0])
        if name.is_absolute() or ".." in name.parts or "\0" in fields[0]:
            raise _wrong(path, line, f"{fields[0]!r} is no picture below loose_crop")
        try:
            values = [float(field) for field in fields[1:]]
        except ValueError:
            values = [np.nan]
        if not np.isfinite(values).all():
            raise _wrong(path, line, "expected a name and eleven finite numbers: five times x and y, and a score")
        names.append(fields[0])
        numbers.append(values)
    table = np.array(numbers, np.float32)
    return Crops(names, table[:, :10].reshape(-1, 5, 2), table[:, 10].copy())


def read_media(path: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """face_tid_mid.txt: templates and media, int64 (R,), of the faces `names`. Raises DataError naming the line."""
    rows: list[list[int]] = []
    for line, fields in _lines(path, 3):
        if line > len(names) or fields[0] != names[line - 1]:
            expected = repr(names[line - 1]) if line <= len(names) else f"the end after {len(names):,} faces"
            raise _wrong(path, line, f"names {fields[0]!r} where the file of landmarks has {expected}")
        rows.append(_integers(path, line, fields[1:]))
    if len(rows) != len(names):
        raise DataError(f"{path}: {len(rows):,} lines, the file of landmarks has {len(names):,} faces: {_WAY_OUT}")
    table = np.array(rows, np.int64)
    return table[:, 0].copy(), table[:, 1].copy()


def read_pairs(path: Path, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """template_pair_label.txt: two templates and 1 for the same person, int64 (P,) each; IJB-C has 15.7 million.

    templates: those there are. Raises DataError naming file and line.
    """
    table = _parsed_at_once(path)
    if table is None:
        table = np.array([_integers(path, line, fields) for line, fields in _lines(path, 3)], np.int64)
    for column in (0, 1):
        _require_templates(path, table[:, column], np.arange(1, len(table) + 1), templates)
    odd = np.flatnonzero((table[:, 2] != 0) & (table[:, 2] != 1))
    if len(odd):
        raise _wrong(path, int(odd[0]) + 1, f"label {table[odd[0], 2]}, expected 1 (same person) or 0")
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def read_people(path: Path, templates: np.ndarray, gallery: bool) -> tuple[np.ndarray, np.ndarray]:
    """A gallery or probe CSV: each template once, rising, and its person, int64.

    templates: those there are. gallery: whether a person may have one template only. Raises DataError naming file and
    line, also for a template of two people.
    """
    person_of: dict[int, int] = {}
    template_of: dict[int, int] = {}
    line_of: dict[int, int] = {}
    for line, fields in _lines(path, None, ","):
        if line == 1:
            if fields[0].strip().lstrip("-").isdigit():
                raise _wrong(path, line, "expected a heading (TEMPLATE_ID,SUBJECT_ID,...), which is not read")
            continue
        if len(fields) < 2:
            raise _wrong(path, line, "expected TEMPLATE,PERSON")
        template, person = _integers(path, line, fields[:2])
        if person_of.setdefault(template, person) != person:
            raise _wrong(path, line, f"template {template} is of person {person}, above of {person_of[template]}")
        if gallery and template_of.setdefault(person, template) != template:
            raise _wrong(
                path, line, f"person {person} has template {template}, and {template_of[person]} above: one a gallery"
            )
        line_of.setdefault(template, line)
    if not person_of:
        raise DataError(f"{path}: no templates below its heading: {_WAY_OUT}")
    found = np.array(sorted(person_of), np.int64)
    _require_templates(path, found, np.array([line_of[template] for template in found.tolist()]), templates)
    return found, np.array([person_of[template] for template in found.tolist()], np.int64)


def _require_templates(path: Path, wanted: np.ndarray, lines: np.ndarray, templates: np.ndarray) -> None:
    lost = np.flatnonzero(~np.isin(wanted, templates))
    if len(lost):
        raise _wrong(path, int(lines[lost[0]]), f"template {wanted[lost[0]]} has no face")


def _lines(path: Path, columns: int | None, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and fields of every line of a text file. Raises DataError for another number of columns."""
    lines = read_regular(path, DataError, _WAY_OUT, LARGEST).split(b"\n")
    if lines[-1].strip() == b"":
        lines.pop()
    if not lines:
        raise DataError(f"{path}: empty: {_WAY_OUT}")
    for number, raw in enumerate(lines, start=1):
        try:
            fields = raw.decode("utf-8").rstrip("\r").split(separator)
        except UnicodeDecodeError:
            raise _wrong(path, number, "not UTF-8") from None
        if columns is not None and len(fields) != columns:
            raise _wrong(path, number, f"{len(fields)} fields, expected {columns}")
        yield number, fields


def _integers(path: Path, line: int, fields: list[str]) -> list[int]:
    for field in fields:
        digits = field.strip().removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise _wrong(path, line, f"{field!r} is no whole number")
    return [int(field) for field in fields]


def _parsed_at_once(path: Path) -> np.ndarray | None:
    """int64 (P,3), a fiftieth of the time; None for what `_lines` shall look at: it is laxer, and says where."""
    names = ["first", "second", "label"]
    try:
        table = pa.csv.read_csv(
            pa.py_buffer(read_regular(path, DataError, _WAY_OUT, LARGEST)),
            pa.csv.ReadOptions(column_names=names),
            pa.csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.int64()), null_values=[]),
        )
    except pa.ArrowException:
        return None
    return np.column_stack([table[name].to_numpy() for name in names])


def _wrong(path: Path, line: int, what: str) -> DataError:
    return DataError(f"{path}: line {line}: {printable(what)}: {_WAY_OUT}")
