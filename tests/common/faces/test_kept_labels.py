"""Identities that every record's header tells are read once; files that changed since are read again."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from common.faces.recordio import Record, Records, RecordWriter
from common.faces.sources import open_source

FACES = 2000


def write(folder: Path, identities: np.ndarray, payload: bytes = b"a picture") -> Path:
    """Records without a header record: only their own headers tell whose they are."""
    folder.mkdir(exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, identity in enumerate(identities.tolist(), start=1):
            writer.write(key, Record(0, float(identity), key, 0, payload))
    return folder


@pytest.fixture
def reads(monkeypatch) -> list[int]:
    """The keys of the records that were read; labels are kept for sets of any size."""
    monkeypatch.setattr("common.faces.record_labels.KEPT_FROM", 1)
    asked: list[int] = []
    raw = Records.raw
    monkeypatch.setattr(Records, "raw", lambda self, key: (asked.append(key), raw(self, key))[1])
    return asked


@pytest.fixture
def faces(tmp_path, reads) -> Path:
    folder = write(tmp_path / "faces", np.arange(FACES) % 37)
    open_source(folder)
    assert len(reads) >= FACES
    reads.clear()
    return folder


def test_the_second_opening_reads_the_probes_alone_and_sees_the_same(faces, reads):
    labels = open_source(faces).labels
    assert len(reads) <= 1024 + 1
    assert labels.tolist() == (np.arange(FACES) % 37).tolist()


@pytest.mark.parametrize("change", ["labels", "order", "more", "file"])
def test_what_belongs_to_other_files_is_not_believed(faces, reads, change):
    if change == "labels":
        want = np.arange(FACES) % 36
        write(faces, want)
    elif change == "order":  # two records that no probe looks at change places in the index
        want = np.arange(FACES) % 37
        want[[2, 4]] = want[[4, 2]]
        lines = (faces / "train.idx").read_text().splitlines()
        (third, of_third), (fifth, of_fifth) = (lines[place].split("\t") for place in (2, 4))
        lines[2], lines[4] = f"{third}\t{of_fifth}", f"{fifth}\t{of_third}"
        (faces / "train.idx").write_text("\n".join(lines) + "\n")
    elif change == "more":
        want = np.arange(FACES + 1) % 37
        write(faces, want)
    else:
        want = np.arange(FACES) % 37
        content = bytearray((faces / "train.labels").read_bytes())
        content[65 + 4 * 2 + 2] ^= 1  # of a record that no probe looks at
        (faces / "train.labels").write_bytes(content)
    assert open_source(faces).labels.tolist() == want.tolist()
    reads.clear()
    assert open_source(faces).labels.tolist() == want.tolist()
    assert len(reads) <= 1024 + 1, "what was read anew is kept again"


def test_a_folder_that_cannot_be_written_is_read_every_time(faces, reads, monkeypatch):
    (faces / "train.labels").unlink()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("common.files._create", refuse)
    assert open_source(faces).num_classes == 37
    assert sorted(os.listdir(faces)) == ["train.idx", "train.rec"]


def test_few_faces_and_faces_with_ranges_leave_no_file(tmp_path, faces, monkeypatch):
    monkeypatch.undo()
    shutil.rmtree(faces)
    open_source(write(faces, np.arange(FACES) % 37))
    assert sorted(os.listdir(faces)) == ["train.idx", "train.rec"]
