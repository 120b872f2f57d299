"""Sets of pairs: what a protocol names or a seed draws is what `load_bin` gives back, in balanced folds."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UserError
from common.faces import decode_rgb
from evaluate.files import load_bin
from photos.sets.draw import draw_pairs, read_pairs
from photos.sets.ijb import png_of
from photos.sets.pairs import write_pairs
from tests.tiny import portrait

PEOPLE = {"Ana": 4, "Bo": 2, "Cleo": 3, "Dan": 1}
# Two folds of two pairs of one person and two of two.
LFW = """2\t2
Ana\t1\t2
Cleo\t3\t1
Ana\t1\tDan\t1
Bo\t2\tCleo\t1
Bo\t1\t2
Ana\t3\t4
Dan\t1\tBo\t1
Cleo\t2\tAna\t4
"""


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    folder = tmp_path / "aligned"
    for person, (name, count) in enumerate(PEOPLE.items()):
        (folder / name).mkdir(parents=True)
        for photo in range(count):
            (folder / name / f"{name}_{photo + 1:04}.png").write_bytes(png_of(portrait(person, photo)))
    (folder / "aligner.json").write_text('{"choose": "central"}')
    return folder


def face(name: str, number: int) -> np.ndarray:
    return portrait(list(PEOPLE).index(name), number - 1)


def test_lfws_format_gives_its_pairs_in_its_order(tmp_path, aligned):
    (tmp_path / "pairs.txt").write_text(LFW)
    told = write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.txt", quality=None)
    pictures, issame = load_bin(tmp_path / "set.bin")
    assert "8 pairs in 2 folds" in told
    assert issame.tolist() == 2 * [True, True, False, False]
    expected = [("Ana", 1), ("Ana", 2), ("Cleo", 3), ("Cleo", 1), ("Ana", 1), ("Dan", 1), ("Bo", 2), ("Cleo", 1)]
    for picture, (name, number) in zip(pictures[:8], expected, strict=True):
        np.testing.assert_array_equal(decode_rgb(picture, "face"), face(name, number))
    account = json.loads((tmp_path / "set.json").read_text())
    assert account["folds"] == [4, 4]
    assert account["pairs"][3] == ["Bo/Bo_0002", "Cleo/Cleo_0001", 0]
    assert account["aligner"] == {"choose": "central"}


def test_faces_become_jpegs_of_quality_95_unless_told_otherwise(tmp_path, aligned):
    (tmp_path / "pairs.txt").write_text(LFW)
    write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.txt")
    pictures, _ = load_bin(tmp_path / "set.bin")
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures)
    assert np.abs(decode_rgb(pictures[0], "face").astype(int) - face("Ana", 1)).mean() < 4
    assert json.loads((tmp_path / "set.json").read_text())["aligner"]["packed"] == "jpg 95"


def test_csv_pairs_have_folds_by_name(tmp_path, aligned):
    rows = ["first,second,same,fold", "Ana/Ana_0001.png,Ana/Ana_0003,1,b", "Bo/Bo_0001,Dan/Dan_0001,0,a"]
    rows += ["Bo/Bo_0001,Bo/Bo_0002,1,a", "Cleo/Cleo_0001,Dan/Dan_0001,0,b"]
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    assert [[pair.same for pair in fold] for fold in read_pairs(tmp_path / "pairs.csv")] == [
        [True, False],
        [False, True],
    ]
    write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.csv")
    assert load_bin(tmp_path / "set.bin")[1].tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("2\t2\n", "2\t3\n", "line 1: announces 2 x 6 pairs, 8 lines follow"),
        ("2\t2\n", "pairs\n", "line 1: expected how many folds"),
        ("Cleo\t3\t1\n", "Cleo\t3\n", "line 3: expected NAME NUMBER NUMBER"),
        ("Ana\t1\tDan\t1\n", "Ana\t1\tDan\tx\n", "line 4: expected NAME NUMBER NAME NUMBER"),
        ("Dan\t1\tBo\t1\n", "Bo\t2\tBo\t1\n", "line 8: two faces of Bo"),
    ],
)
def test_a_wrong_line_of_lfws_format_is_named(tmp_path, old, new, told):
    (tmp_path / "pairs.txt").write_text(LFW.replace(old, new))
    with pytest.raises(DataError, match=told):
        read_pairs(tmp_path / "pairs.txt")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b,c\n", "line 1: expected the heading"),
        ("first,second,same\na,b,1\na,b,yes\n", "line 3: expected first,second,same with same 1 or 0"),
        ("first,second,same\n", "no pairs below"),
    ],
)
def test_a_wrong_line_of_a_csv_is_named(tmp_path, text, told):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_pairs(tmp_path / "pairs.csv")


def test_missing_faces_are_refused_or_left_out_so_that_folds_stay_even(tmp_path, aligned):
    (tmp_path / "pairs.txt").write_text(LFW)
    (aligned / "Ana" / "Ana_0003.png").unlink()
    with pytest.raises(DataError, match=r"1 faces of the pairs are missing, such as Ana/Ana_0003"):
        write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.txt")
    assert not (tmp_path / "set.bin").exists()
    told = write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.txt", drop=True)
    assert "6 pairs in 2 folds; 2 left out, 1 faces are missing" in told
    assert load_bin(tmp_path / "set.bin")[1].tolist() == 2 * [True, False, False]
    (aligned / "Bo" / "Bo_0001.png").unlink()
    with pytest.raises(DataError, match="no pairs left"):
        write_pairs(aligned, tmp_path / "set.bin", tmp_path / "pairs.txt", drop=True)


def test_drawn_pairs_are_distinct_balanced_and_no_person_is_in_two_folds():
    photos_of = {f"p{n:02}": [f"p{n:02}/{photo}" for photo in range(1 + n % 7)] for n in range(60)}
    folds = draw_pairs(photos_of, pairs=200, folds=5, seed=3)
    seen: list[set[str]] = []
    for fold in folds:
        assert len(fold) == len({frozenset(pair[:2]) for pair in fold}) == 40
        assert [pair.same for pair in fold] == 20 * [True, False]  # ten blocks of all of them have both kinds
        for first, second, same in fold:
            assert first != second
            assert (first.split("/")[0] == second.split("/")[0]) == same
            assert first in photos_of[first.split("/")[0]]
        seen.append({face.split("/")[0] for pair in fold for face in pair[:2]})
    assert sum(map(len, seen)) == len(set().union(*seen))
    assert draw_pairs(photos_of, 200, 5, 3) == folds
    assert draw_pairs(dict(reversed(photos_of.items())), 200, 5, 3) == folds
    assert draw_pairs(photos_of, 200, 5, 4) != folds


def test_people_are_dealt_to_folds_there_and_back_so_that_none_gets_all_the_larger_ones():
    photos_of = {name: [f"{name}/{n}" for n in range(count)] for name, count in zip("ABCD", (12, 9, 6, 4), strict=True)}
    folds = draw_pairs(photos_of, pairs=40, folds=2, seed=0)
    people = [{face.split("/")[0] for pair in fold for face in pair[:2]} for fold in folds]
    assert people == [{"A", "D"}, {"B", "C"}]


def test_all_pairs_there_are_can_be_drawn_and_no_more():
    photos_of = {"a": ["a/0", "a/1", "a/2"], "b": ["b/0"]}
    (fold,) = draw_pairs(photos_of, pairs=6, folds=1, seed=0)
    assert {pair[:2] for pair in fold if pair.same} == {("a/0", "a/1"), ("a/0", "a/2"), ("a/1", "a/2")}
    assert {pair[:2] for pair in fold if not pair.same} == {("a/0", "b/0"), ("a/1", "b/0"), ("a/2", "b/0")}
    with pytest.raises(UserError, match="a fold has 3 pairs of one person, 4 are wanted"):
        draw_pairs(photos_of, pairs=8, folds=1, seed=0)
    with pytest.raises(UserError, match="say 4 x N"):
        draw_pairs(photos_of, pairs=6, folds=2, seed=0)


def test_people_are_drawn_evenly_however_many_faces_they_have():
    """LFW draws people, not faces: one person with a hundred photos is not every other pair."""
    photos_of = {"z": [f"z/{n}" for n in range(100)], **{f"p{n}": [f"p{n}/0", f"p{n}/1", f"p{n}/2"] for n in range(19)}}
    (fold,) = draw_pairs(photos_of, pairs=60, folds=1, seed=0)
    of_z = sum(pair.first.startswith("z/") for pair in fold if pair.same)
    assert of_z < 8


def test_a_set_drawn_from_a_folder_reads_back(tmp_path, aligned):
    write_pairs(aligned, tmp_path / "set.bin", draw=8, folds=1, seed=1, quality=None)
    pictures, issame = load_bin(tmp_path / "set.bin")
    assert issame.tolist() == 4 * [True, False]
    people = [
        next(name for name, count in PEOPLE.items() if any(picture == png_of(face(name, n + 1)) for n in range(count)))
        for picture in pictures
    ]
    assert [a == b for a, b in zip(people[::2], people[1::2], strict=True)] == issame.tolist()


def test_packed_faces_and_other_suffixes_are_refused(tmp_path, aligned):
    with pytest.raises(UserError, match=r"call it set\.txt\.bin"):
        write_pairs(aligned, tmp_path / "set.txt", draw=4, folds=1)
    (aligned / "Bo" / "Bo_0001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"Bo_0001\.png: there is a file of that name"):
        write_pairs(aligned, tmp_path / "set.bin", draw=4, folds=1)
