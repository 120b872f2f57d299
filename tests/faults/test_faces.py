"""Faces that are damaged, shared out wrongly, or no files at all, met by every command that reads them."""

import os
from pathlib import Path

import numpy as np

from common.faces.pixels import encode_jpeg
from common.faces.recordio import Record, Records, RecordWriter
from tests.faults.damage import BINARY_DAMAGES, JSON_DAMAGES, a_loop, a_pipe, holds
from tests.faults.table import Row, assert_refused, quick, rows, table
from tests.tiny import portrait

BUILD = "cache build --config tiny.toml --set name=second"
PHOTOS = f"{BUILD} --set faces.path=photos"
TRAIN = "distill train --config tiny.toml --set name=second --set cache.path=caches/tiny"
AUDIT = "cache audit --config tiny.toml --out audit"
SUBSET = "cache subset --config tiny.toml --first 2 --out caches/two"
REC, IDX = "data/faces/train.rec", "data/faces/train.idx"
ZEROED_FROM = 700  # byte, behind the headers
JPEG = encode_jpeg(portrait(0, 0))
ZEROED = JPEG[:ZEROED_FROM] + bytes(len(JPEG) - ZEROED_FROM - 2) + JPEG[-2:]
GLUED = JPEG[: len(JPEG) // 2] + encode_jpeg(portrait(1, 0))[-300:]


def record_changed(key: int, change) -> object:
    """One record of train.rec written anew."""

    def damage(rec: Path) -> None:
        found = Records(rec)
        changed = {k: change(found[k]) if k == key else found[k] for k in found}
        with RecordWriter(rec, rec.with_suffix(".idx")) as writer:
            for k, record in changed.items():
                writer.write(k, record)

    return damage


def picture(content: bytes):
    return record_changed(5, lambda record: Record(record.flag, record.label, record.id, record.id2, content))


def same_offset_twice(idx: Path) -> None:
    lines = idx.read_text().splitlines()
    lines[3] = f"{lines[3].split()[0]}\t{lines[2].split()[1]}"
    idx.write_text("\n".join(lines) + "\n")


def not_utf_8(folder: Path) -> None:
    """A photo in a folder, both with Latin-1 names, that is no picture."""
    strange = os.fsencode(folder) + b"/J\xfcrg\x1b[2J"
    os.mkdir(strange)
    with open(strange + b"/\xe9.jpg", "wb") as file:
        file.write(GLUED)


fewer = record_changed(0, lambda record: Record(2, np.array([20, 27]), 0, 0, b""))
more = record_changed(0, lambda record: Record(2, np.array([99, 106]), 0, 0, b""))
# A bit in the middle may lie in any picture, and a picture may bear it.
REC_DAMAGES = {name: damage for name, damage in BINARY_DAMAGES.items() if name not in ("removed", "a flipped bit")}
IDX_DAMAGES = {name: damage for name, damage in REC_DAMAGES.items() if name != "a device"}

TABLE = [
    *rows(REC, REC_DAMAGES, [BUILD, TRAIN, AUDIT, SUBSET], r"train\.(rec|idx)"),
    *rows(IDX, IDX_DAMAGES, [BUILD, TRAIN], r"train\.(rec|idx)"),
    *rows(IDX, {"one offset twice": same_offset_twice}, [BUILD, TRAIN]),
    *rows(REC, {"announces fewer": fewer, "announces more": more}, [BUILD, TRAIN], r"train\.rec.*announces"),
    *rows(
        REC,
        {"a glued JPEG": picture(GLUED), "a zeroed JPEG": picture(ZEROED)},
        [BUILD],
        r"train\.rec: record 5: the JPEG is damaged",
    ),
    *rows(REC, {"an empty record": picture(b""), "no picture": picture(b"GIF89a")}, [BUILD], r"train\.rec: record 5"),
    *rows("data/photos/1/1.jpg", {"glued": holds(GLUED), "a pipe": a_pipe, "a loop": a_loop}, [PHOTOS]),
    Row("names that are not UTF-8", "data/photos", not_utf_8, PHOTOS, r"photos/J\\xfcrg\\x1b\[2J/\\xe9\.jpg"),
    *rows(
        "data/faces/identities.json",
        {
            k: v
            for k, v in JSON_DAMAGES.items()
            if k not in ("removed", "half of it", "a folder", "a pipe", "a device", "a loop")
        },
        [AUDIT],
    ),
]
QUICK = {"a glued JPEG", "one offset twice", "announces fewer", "names that are not UTF-8", "a loop", "half of it"}


@table([quick(row) if row.situation in QUICK and row.command in (BUILD, PHOTOS) else row for row in TABLE])
def test_damaged_faces_are_refused(row, template, undamaged, tmp_path):
    assert_refused(row, template, undamaged, tmp_path / "world")
