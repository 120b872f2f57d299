"""Landmarks in every documented format are the same faces; every wrong line is named."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import DataError
from photos.detect import read_landmarks

POINTS = [[30.5, 40], [70, 41], [50, 60.25], [35, 80], [66, 81]]
FLAT = [value for point in POINTS for value in point]
NAMES = [f"{axis}{number}" for number in range(5) for axis in "xy"]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def words(*values: object) -> str:
    return " ".join(map(str, values))


def test_every_format_gives_the_same_points(tmp_path):
    lst = "\t".join(map(str, [0, "a/1.jpg", 17, 1, 2, 90, 95, *FLAT[::2], *FLAT[1::2]]))
    table = pa.table({"photo": ["a/1.jpg"], **{name: [value] for name, value in zip(NAMES, FLAT, strict=True)}})
    pq.write_table(table, tmp_path / "it.parquet")
    files = {
        "lfw": write(tmp_path / "lfw.txt", words("a/1.jpg", *FLAT) + "\n"),
        "casia": write(tmp_path / "casia.txt", words("a/1.jpg", 17, *FLAT)),
        "ijb": write(tmp_path / "ijb.txt", words("a/1.jpg", *FLAT, 0.75)),
        "lst": write(tmp_path / "it.lst", lst),
        "csv": write(tmp_path / "it.csv", ",".join(["photo", *NAMES]) + "\n" + ",".join(map(str, ["a/1.jpg", *FLAT]))),
        "parquet": tmp_path / "it.parquet",
    }
    for name, path in files.items():
        (photo,) = (found := read_landmarks(path))
        assert photo == "a/1.jpg"
        np.testing.assert_array_equal(found[photo].landmarks, np.array([POINTS], np.float32), err_msg=name)
        assert found[photo].scores.tolist() == [0.75 if name == "ijb" else 1]
        box = [1, 2, 90, 95] if name == "lst" else [30.5, 40, 70, 81]
        np.testing.assert_array_equal(found[photo].boxes, np.array([box], np.float32), err_msg=name)


def test_several_lines_of_a_photo_are_several_faces_with_their_boxes_and_scores(tmp_path):
    header = ",".join(["photo", *NAMES, "box_x0", "box_y0", "box_x1", "box_y1", "score"])
    rows = [",".join(map(str, ['"a, b/1.jpg"', *FLAT, 0, 1, 2, 3, score])) for score in (0.25, 0.5)]
    found = read_landmarks(write(tmp_path / "it.csv", "\n".join([header, *rows])))["a, b/1.jpg"]
    assert found.scores.tolist() == [0.25, 0.5]
    assert found.boxes.tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("it.txt", words("a.jpg", *FLAT) + "\n" + words("b.jpg", *FLAT[:9]), "line 2: b.jpg"),
        ("it.txt", words("a.jpg", *FLAT, 0.5) + "\n" + words("b.jpg", 17, *FLAT), "line 2"),
        ("it.txt", words("a.jpg", *FLAT[:9], "nan"), "a.jpg: numbers that are no pixels"),
        ("it.txt", words("a.jpg", *FLAT[:9], "1e30"), "a.jpg: numbers that are no pixels"),
        ("it.txt", "\n\n", "no landmarks in it"),
        ("it.lst", "1\ta.jpg\t0", "line 1"),
        ("it.csv", "photo,x0\n", "line 1: no column y0"),
        ("it.csv", ",".join(["photo", *NAMES]) + "\na.jpg,1,2,3,4,5,6,7,8,nine,10", "line 2: x4 is 'nine'"),
        ("it.csv", ",".join(["photo", *NAMES]) + "\na.jpg,1,2", "line 2: x1 is None"),
        ("it.parquet", "PAR1 of nothing", "not a Parquet file"),
        ("it.json", "{}", "not .json"),
    ],
)
def test_what_is_none_of_them_is_named(tmp_path, name, text, said):
    with pytest.raises(DataError, match=said):
        read_landmarks(write(tmp_path / name, text))
