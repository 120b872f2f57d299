"""Identity folders become RecordIO or a list: the same faces, whoever reads them, and who aligned them goes along."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from common.faces import encode_jpeg, open_source
from photos.pack import list_faces, pack
from photos.sets.ijb import png_of
from tests.tiny import portrait, tree

COUNTS = {"Ana": 3, "Bo\nris": 1, "Cleo": 4}
ALIGNER = {"detector": {"name": "yunet", "sha256": "8f" * 32}, "size": [112, 112]}


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    """PNGs but for one JPEG, and the aligner's identity."""
    folder = tmp_path / "aligned"
    for person, (name, count) in enumerate(COUNTS.items()):
        (folder / name).mkdir(parents=True)
        for photo in range(count):
            (folder / name / f"{photo:02}.png").write_bytes(png_of(portrait(person, photo)))
    (folder / "Cleo" / "03.png").unlink()
    (folder / "Cleo" / "03.jpg").write_bytes(encode_jpeg(portrait(2, 3), 70))
    (folder / "aligner.json").write_text(json.dumps(ALIGNER))
    return folder


def test_packed_without_loss_the_faces_are_those_of_the_folder(tmp_path, aligned):
    told = pack(aligned, tmp_path / "packed", quality=None)
    packed, folder = open_source(tmp_path / "packed"), open_source(aligned)
    assert "8 faces of 3 people" in told
    assert packed.fingerprint() == folder.fingerprint()
    assert packed.people == folder.people == ["Ana", r"Bo\x0aris", "Cleo"]
    assert packed.aligner == folder.aligner == ALIGNER
    assert (tmp_path / "packed" / "property").read_text() == "3,112,112"


def test_pngs_become_jpegs_of_the_quality_asked_for_and_jpegs_stay(tmp_path, aligned):
    pack(aligned, tmp_path / "packed", quality=90, workers=3)
    packed, folder = open_source(tmp_path / "packed"), open_source(aligned)
    for sample in range(8):
        original = folder.jpeg(sample)
        expected = original if original.startswith(b"\xff\xd8") else encode_jpeg(folder.rgb(sample), 90)
        assert packed.jpeg(sample) == expected
    assert packed.aligner == {**ALIGNER, "packed": "jpg 90"}


def test_the_files_do_not_depend_on_workers(tmp_path, aligned):
    for workers in (1, 4):
        pack(aligned, tmp_path / f"packed{workers}", workers=workers)
    assert tree(tmp_path / "packed1") == tree(tmp_path / "packed4")


def test_people_with_few_faces_are_left_out_and_numbered_without_gap(tmp_path, aligned):
    told = pack(aligned, tmp_path / "packed", fewest=2)
    assert "1 people left out" in told
    assert open_source(tmp_path / "packed").labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(DataError, match="nobody has 9 faces or more"):
        pack(aligned, tmp_path / "none", fewest=9)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"01\.png: 0 bytes starting nowhere are no picture"),
        (png_of(portrait(1, 1))[:900], r"01\.png"),
        (png_of(portrait(0, 1)[:, :96]), r"01\.png: 112x96 pixels, the first face has \(112, 112\): align all"),
    ],
)
def test_a_picture_that_cannot_be_packed_is_named_or_left_out(tmp_path, aligned, content, told):
    (aligned / "Ana" / "01.png").write_bytes(content)
    with pytest.raises(DataError, match=told):
        pack(aligned, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
    assert "1 pictures left out, such as" in pack(aligned, tmp_path / "packed", skip=True)
    assert open_source(tmp_path / "packed").labels.tolist() == [0, 0, 1, 2, 2, 2, 2]


def test_a_person_all_of_whose_pictures_are_damaged_is_no_class(tmp_path, aligned):
    (aligned / "Bo\nris" / "00.png").write_bytes(b"")
    pack(aligned, tmp_path / "packed", skip=True)
    packed = open_source(tmp_path / "packed")
    assert packed.people == ["Ana", "Cleo"]
    assert np.bincount(packed.labels).tolist() == [3, 4]


def test_what_exists_is_not_overwritten(tmp_path, aligned):
    (tmp_path / "packed").mkdir()
    with pytest.raises(UserError, match="exists already"):
        pack(aligned, tmp_path / "packed")


@pytest.mark.parametrize("place", ["faces.txt", "aligned/faces.txt"])
def test_a_list_beside_or_among_the_faces_is_the_folder(tmp_path, aligned, place):
    (aligned / "Bo\nris").rename(aligned / "Boris")
    list_faces(aligned, tmp_path / place)
    listed, folder = open_source(tmp_path / place), open_source(aligned)
    assert listed.fingerprint() == folder.fingerprint()
    assert listed.people == folder.people
    assert listed.aligner == ALIGNER
    list_faces(aligned, tmp_path / place, fewest=2)
    assert open_source(tmp_path / place).labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


def test_a_list_elsewhere_and_one_of_records_are_refused(tmp_path, aligned):
    with pytest.raises(UserError, match="beside its faces or among them"):
        list_faces(aligned, tmp_path / "far" / "faces.txt")
    with pytest.raises(DataError, match="cannot stand in a list"):
        list_faces(aligned, tmp_path / "faces.txt")
    pack(aligned, tmp_path / "packed")
    with pytest.raises(UserError, match="no files of their own"):
        list_faces(tmp_path / "packed", tmp_path / "faces.txt")
