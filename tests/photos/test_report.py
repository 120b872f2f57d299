"""The report counts what the table of faces holds, and shows rejects whatever they are."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from common.contact_sheets import Cell, Section, contact_sheet, tail
from common.faces import encode_jpeg
from photos.__main__ import main
from photos.faces_table import SCHEMA
from photos.picture import read_photo
from tests.tiny import portrait


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Photos and what became of them: Ana has 3 faces, Bo 1 and a reject; three more rejects, hostile ones."""
    photos, aligned = tmp_path / "photos", tmp_path / "aligned"
    rows = []

    def add(photo: str, content: bytes, **row: object) -> None:
        (photos / photo).parent.mkdir(parents=True, exist_ok=True)
        (photos / photo).write_bytes(content)
        person = photo.split("/")[0]
        rows.append({"photo": photo, "person": person, "photo_bytes": 1, "photo_modified": 1, **row})

    for number, (person, side) in enumerate([("Ana", 30), ("Ana", 60), ("Ana", 90), ("Bo", 40)]):
        path = f"{person}/{number}.jpg"
        face = {"face": 0, "status": "aligned", "aligned": path, "aligned_bytes": 1, "width": 112, "height": 112}
        box, landmarks = [0, 0, side, side + 9], list(range(10))
        add(path, encode_jpeg(portrait(1, number)), score=0.9 - number / 10, box=box, landmarks=landmarks, **face)
        (aligned / person).mkdir(parents=True, exist_ok=True)
        (aligned / path).write_bytes(encode_jpeg(portrait(1, number)))
    add("Bo/far.jpg", encode_jpeg(np.zeros((20, 300, 3), np.uint8)), status="rejected", reason="no face found")
    add("=Cleo\x1b[2J/empty.jpg", b"", status="rejected", reason="an empty file")
    add("Dan/cut.jpg", encode_jpeg(portrait(1, 1))[:500], status="rejected", reason="a JPEG cut off after 500 bytes")
    add("Dan/cut2.jpg", encode_jpeg(portrait(1, 1))[:700], status="rejected", reason="a JPEG cut off after 700 bytes")
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), aligned / "faces.parquet")
    (aligned / "aligner.json").write_text('{"detector": {"name": "yunet"}, "size": [112, 112]}')
    return photos, aligned


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.output


def test_the_numbers_are_those_of_the_table(tmp_path, folders):
    photos, aligned = folders
    assert "4 faces of 2 people, 4 rejects" in run("report", aligned, tmp_path / "report", "--photos", photos)
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert numbers["faces_a_person"]["1"] == numbers["faces_a_person"]["2 to 4"] == 1
    assert numbers["side"]["0.5"] == np.median([30, 60, 90, 40])
    assert numbers["score"]["0"] == pytest.approx(0.6)
    assert {entry["reason"]: entry["count"] for entry in numbers["reasons"]}["no face found"] == 1
    with open(tmp_path / "report" / "people.csv", newline="") as file:
        people = list(csv.reader(file))
    assert people[1:] == [[r"'=Cleo\x1b[2J", "0", "1"], ["Dan", "0", "2"], ["Bo", "1", "2"], ["Ana", "3", "3"]]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "detector (name yunet), size 112x112" in text
    assert "\x1b" not in text
    for sheet in ("worst.png", "rejects.png"):
        assert (tmp_path / "report" / sheet).read_bytes().startswith(b"\x89PNG")


def test_sheets_show_the_lowest_scores_first_and_like_reasons_together(folders):
    from photos.report import _rejects, _worst

    photos, aligned = folders
    rows = pq.read_table(aligned / "faces.parquet").to_pylist()
    scores, sides = _worst(aligned, rows)
    assert [group[0].text.split("\n")[1] for group in scores.groups] == ["0.600", "0.700", "0.800", "0.900"]
    assert [group[0].text.split("\n")[1] for group in sides.groups] == ["30", "40", "60", "90"]
    rejects = {section.heading: section.groups for section in _rejects(photos, rows)}
    assert [group[0].picture for group in rejects["2 x a JPEG cut off after N bytes"]] == [None, None]
    shown = rejects["1 x no face found"][0][0].picture
    assert shown.shape == (112, 112, 3)
    assert (shown[:7] == 0).all()
    assert (shown[8:] == 255).all()


def test_a_reason_is_told_with_its_numbers_where_they_are_alike_and_none_is_left_out(tmp_path):
    from photos.report import _rejects

    reasons = [f"reason {letter}" for letter in "abcdefghij"] + ["its name is not UTF-8: rename it"] * 2
    reasons += ["a JPEG cut off after 12,345 bytes", "a JPEG cut off after 7 bytes", "a JPEG cut off after 70 bytes"]
    rows = [{"status": "rejected", "reason": reason, "photo": f"{n}.jpg"} for n, reason in enumerate(reasons)]
    sections = _rejects(tmp_path, rows)
    headings = [section.heading for section in sections]
    assert headings[:3] == [
        "3 x a JPEG cut off after N bytes",
        "2 x its name is not UTF-8: rename it",
        "1 x reason a",
    ]
    assert (len(headings), headings[-1]) == (8, "5 x other reasons, all in report.md")
    assert sum(len(section.groups) for section in sections) == len(rows)


def test_where_nothing_was_rejected_the_sheet_says_so(tmp_path, folders):
    photos, aligned = folders
    table = pq.read_table(aligned / "faces.parquet")
    pq.write_table(table.slice(0, 4), aligned / "faces.parquet")
    assert "4 faces of 2 people, 0 rejects" in run("report", aligned, tmp_path / "report", "--photos", photos)
    assert (tmp_path / "report" / "rejects.png").stat().st_size > 0


def test_a_folder_without_faces_and_photos_that_are_not_there_are_refused(tmp_path, folders):
    photos, aligned = folders
    assert "align photos first" in run("report", photos, tmp_path / "report")
    assert "no such folder" in run("report", aligned, tmp_path / "report", "--photos", tmp_path / "nowhere")


def test_commands_pack_pair_and_tell_from_end_to_end(tmp_path, folders):
    _, aligned = folders
    assert "4 faces of 2 people" in run("pack", aligned, tmp_path / "packed", "--keep")
    assert "3 faces of 1 people" in run("pack", aligned, tmp_path / "aligned.txt", "--min-faces", 2)
    assert "6 pairs in 1 folds" in run("pairs", aligned, tmp_path / "a.bin", "--draw", 6, "--folds", 1)
    for path, told in (("packed", "recordio, 4 faces of 2 people"), ("a.bin", "6 pairs in 1 folds")):
        output = run("info", tmp_path / path)
        assert told in output
        assert "detector (name yunet), size 112x112" in output
    assert "4 faces aligned of 8 photos" in run("info", aligned)
    assert "say which pairs: --pairs FILE or --draw N" in run("pairs", aligned, tmp_path / "b.bin")
    assert "nobody says how" in run("info", tmp_path / "photos")


def test_a_caption_ends_with_what_tells_photos_of_one_person_apart():
    assert tail("Ana_Palacio/Ana_Palacio_0003.jpg") == "…/Ana_Palacio_0003"
    assert tail("Ana_Palacio/Ana_Palacio_0003.jpg~12", 15) == "…alacio_0003~12"
    assert tail("Bo/b.JPG") == "Bo/b"
    assert tail("new\nline.jpg") == "new\\x0aline"


def test_a_sheet_without_faces_is_its_heading_alone(tmp_path):
    contact_sheet([Section("photos without a face", [])], tmp_path / "none.png", 8)
    face = [[Cell(portrait(1, 1), "Ana/1")]]
    contact_sheet([Section("photos without a face", face)], tmp_path / "one.png", 8)
    none, one = (read_photo(tmp_path / name).shape for name in ("none.png", "one.png"))
    assert none[0] < 80 < one[0]
    assert none[1] > 0.9 * one[1]
