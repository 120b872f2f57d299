"""faces.parquet: one row a face found, and one for every photo without any, with the reason.

photo       the photo's path below its folder        person      its first folder, null for none
face        0 for the best of a photo, 1 ...; null where none was found
status      aligned | passed over | rejected          reason      why, null for aligned
box         x0 y0 x1 y1   landmarks  x0 y0 ... x4 y4  score       float32; pixels of the upright photo
width, height of the photo                            aligned     path of the aligned face, below the table's folder
photo_bytes, photo_modified (ns), aligned_bytes       what tells a resumed run that nothing has changed
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from common.errors import DataError
from common.files import make_folder, replacing, sync

NAME = "faces.parquet"
UNFINISHED = ".unfinished"  # folder of parts; the table appears when all of it is known
SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("person", pa.string()),
        ("face", pa.int32()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("box", pa.list_(pa.float32(), 4)),
        ("landmarks", pa.list_(pa.float32(), 10)),
        ("score", pa.float32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("aligned", pa.string()),
        ("photo_bytes", pa.int64()),
        ("photo_modified", pa.int64()),
        ("aligned_bytes", pa.int64()),
    ]
)
_PART = re.compile(r"\d{6}\.parquet")

Row = dict[str, Any]


def read_faces(folder: Path) -> pa.Table:
    """The finished table of an aligned folder. Raises DataError where there is none, or an alignment is unfinished."""
    path = folder / NAME
    if not path.exists():
        unfinished = (folder / UNFINISHED).exists()
        what = "its alignment is unfinished: run it again" if unfinished else f"no {NAME} in it: align photos first"
        raise DataError(f"{folder}: {what}")
    return _read(path)


class Parts:
    """The rows of an alignment on their way to becoming its table; a killed run loses those of its last part."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parts = folder / UNFINISHED
        self.known = self._known()

    def begin(self) -> None:
        """From now on the table is unfinished: what there is of it becomes the first part."""
        make_folder(self._parts)
        if (self._folder / NAME).exists():
            os.replace(self._folder / NAME, self._parts / "000000.parquet")
            sync(self._folder)

    def add(self, rows: Sequence[Row]) -> None:
        """Keep rows; those of a photo take the place of earlier ones."""
        if rows:
            names = self._names()
            number = int(names[-1][:6]) + 1 if names else 1
            _write(pa.Table.from_pylist(list(rows), SCHEMA), self._parts / f"{number:06d}.parquet")

    def finish(self, photos: Iterable[str]) -> pa.Table:
        """Write the table of these photos, in their order; the parts are gone."""
        known = self._known()
        wanted = pa.array(sorted(photos), pa.string())
        table = known.filter(pc.is_in(known["photo"], wanted)).sort_by([("photo", "ascending"), ("face", "ascending")])
        _write(table, self._folder / NAME)
        self.clear()
        return table

    def clear(self) -> None:
        """Remove the parts, and whatever a killed run left half written among them."""
        if self._parts.is_dir():
            for name in os.listdir(self._parts):
                (self._parts / name).unlink()
            self._parts.rmdir()

    def _known(self) -> pa.Table:
        """The last rows written of every photo."""
        paths = [path for path in (self._folder / NAME,) if path.exists()]
        paths += [self._parts / name for name in self._names()]
        tables = [_read(path) for path in paths]
        latest: dict[str, int] = {}
        for number, table in enumerate(tables):
            latest.update(dict.fromkeys(table["photo"].to_pylist(), number))
        kept = [
            table.filter(pa.array([latest[photo] == number for photo in table["photo"].to_pylist()], pa.bool_()))
            for number, table in enumerate(tables)
        ]
        return pa.concat_tables(kept) if kept else SCHEMA.empty_table()

    def _names(self) -> list[str]:
        if not self._parts.is_dir():
            return []
        return sorted(name for name in os.listdir(self._parts) if _PART.fullmatch(name))


def _write(table: pa.Table, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _read(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}): remove its folder and align again") from error
    if table.schema != SCHEMA:
        raise DataError(f"{path}: other columns than this version writes: remove its folder and align again")
    return table


def summary(table: pa.Table) -> str:
    """How many photos, people and aligned faces a table has, then the reasons of the rest, most frequent first."""
    photos, people = (len(pc.unique(table[name].drop_null())) for name in ("photo", "person"))
    aligned = pc.sum(pc.equal(table["status"], "aligned")).as_py() or 0
    lines = [f"{aligned:,} faces aligned of {photos:,} photos, {people:,} people"]
    reasons = Counter(zip(table["status"].to_pylist(), table["reason"].to_pylist(), strict=True))
    lines += [f"  {count:>9,} {status}: {reason}" for (status, reason), count in reasons.most_common() if reason]
    return "\n".join(lines[:12])
