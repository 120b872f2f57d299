"""Lists of faces: the samples of the folders they name, in the list's order; what is wrong is named by its line."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError
from common.faces import open_source, read_aligner, write_list
from tests.tiny import jpegs


@pytest.fixture
def casia(tmp_path: Path) -> Path:
    """A folder of identity folders whose names hold spaces and bytes that are no UTF-8."""
    root = tmp_path / "CASIA-WebFace-112X96"
    for person, images in zip(("0000099", "00 45", "0000045"), jpegs(3, 4), strict=True):
        (root / person).mkdir(parents=True)
        for number, image in enumerate(images):
            (root / person / f"{number:03}.jpg").write_bytes(image)
    (root / "00 45" / "003.jpg").rename(root / "00 45" / "\udcff3.jpg")
    return root


@pytest.mark.parametrize("start", ["", "CASIA-WebFace-112X96/"])
def test_a_list_of_a_whole_folder_is_that_folder(casia, start):
    folder = open_source(casia)
    path = casia.with_name("CASIA-WebFace-112X96.txt")
    write_list(path, [(start + name, 7 * label) for name, label in zip(folder._names, folder.labels, strict=True)])
    listed = open_source(path)
    assert listed.kind == "list"
    assert listed.fingerprint() == folder.fingerprint()
    assert listed.people == folder.people
    assert pickle.loads(pickle.dumps(listed)).jpeg(11) == folder.jpeg(11)  # noqa: S301
    np.testing.assert_array_equal(
        open_source(path, max_per_identity=2).labels, open_source(casia, max_per_identity=2).labels
    )


def test_samples_come_in_the_order_of_the_list_and_labels_in_that_of_the_numbers(casia):
    path = casia / "some.txt"
    path.write_bytes(b"0000099/002.jpg\t20\r\n\n0000045/000.jpg 3\n0000099/000.jpg 20\n00 45/\xff3.jpg 100")
    listed = open_source(path)
    assert listed.labels.tolist() == [1, 0, 1, 2]
    assert listed.jpeg(0) == (casia / "0000099" / "002.jpg").read_bytes()
    assert listed.people == ["0000045", "0000099", "00 45"]
    assert listed.name(3).endswith(r"00 45/\xff3.jpg")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("0000045/000.jpg 0\n0000045/001.jpg\n", "line 2: expected a path, a space and a whole number"),
        ("0000045/000.jpg -1\n", "line 1: expected"),
        ("0000045/000.jpg 0\n\n/etc/passwd 1\n", "line 3: /etc/passwd leads out"),
        ("0000045/../../x.jpg 1\n", "line 1: .* leads out"),
        ("0000045/9\x1b.jpg 1\n", r"line 1: 0000045/9\\x1b.jpg is not in .* nor in"),
        ("\n \n", "no faces; expected a list"),
    ],
)
def test_a_wrong_line_is_named(casia, content, told):
    path = casia / "list.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        open_source(path)


def test_names_that_no_list_can_hold_are_refused_and_leave_no_file(tmp_path):
    for name in ("a\nb.jpg", "a\r.jpg", " a.jpg", ""):
        with pytest.raises(DataError, match="cannot stand in a list"):
            write_list(tmp_path / "list.txt", [("fine.jpg", 0), (name, 1)])
    assert list(tmp_path.iterdir()) == []


def test_who_aligned_the_faces_is_read_from_beside_them_and_damage_is_an_error(casia):
    path = casia / "list.txt"
    path.write_text("0000045/000.jpg 0\n")
    assert open_source(path).aligner is None
    (casia / "aligner.json").write_text('{"detector": {"name": "yunet"}}')
    assert open_source(path).aligner == open_source(casia).aligner == {"detector": {"name": "yunet"}}
    (casia / "aligner.json").write_text("[1]")
    with pytest.raises(DataError, match=r"aligner\.json: damaged"):
        read_aligner(casia)
