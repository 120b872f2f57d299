"""`photos embed`, `compare` and `gallery` on aligned faces made up here, and on LFW's photos where they are."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from common.embeddings import Row, Thresholds, sidecar_of, write_thresholds
from common.errors import DataError
from photos.__main__ import main
from photos.aligner import AlignedFace
from photos.embed import compare_photos
from photos.transform import template
from tests.tiny import TinyTeacher, portrait


class Model(TinyTeacher):
    """A model that lies in a file, and sees 112x112 or 112x96."""

    path = Path("tiny.onnx")

    def describe(self):
        return {"weights_sha256": "ab" * 32}

    def embed(self, faces):
        if faces.shape[2] == 96:
            faces = np.pad(faces, ((0, 0), (0, 0), (8, 8), (0, 0)))
        return super().embed(faces)


@pytest.fixture
def people(tmp_path, monkeypatch):
    """photos/pN/a.png, b.png: aligned faces of four people."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("common.models.named.open_model", lambda *arguments: Model())
    Path("tiny.onnx").write_bytes(b"\x08")
    for person in range(4):
        Path(f"photos/p{person}").mkdir(parents=True)
        for photo, name in enumerate("ab"):
            cv2.imwrite(f"photos/p{person}/{name}.png", portrait(person, photo)[..., ::-1])
    return tmp_path


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def sentences(*arguments):
    """What is printed, without the breaks of lines."""
    return " ".join(invoke(*arguments).split())


def cosine_of(first, second, flip=True):
    """Independently: the sum of a face's embedding and its mirror image's, and the angle between two such."""
    rows = []
    for person, photo in (first, second):
        face = portrait(person, photo)[None]
        rows.append((TinyTeacher().embed(face) + flip * TinyTeacher().embed(face[:, :, ::-1]))[0].astype(np.float64))
    return rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1])


def calibrated(threshold, protocol="flip-sum"):
    row = Row(far=0.01, threshold=threshold, low=threshold, high=threshold, tar=1)
    kept = Thresholds(
        model={"weights_sha256": "ab" * 32}, set="mine", set_sha256="00", impostors=100, protocol=protocol,
        resampled="pairs", resamples=10, rows=[row],
    )  # fmt: skip
    write_thresholds(sidecar_of(Path("tiny.onnx")), kept)


BOX = ("box_x0", "box_y0", "box_x1", "box_y1")
EMBED = ("embed", "--model", "tiny.onnx", "--aligned", "--in", "photos", "--out", "r")


@pytest.mark.parametrize("flip", [True, False])
def test_arrays_table_and_matrix_hold_the_cosines_of_the_faces(people, flip):
    output = sentences(*EMBED, *([] if flip else ["--no-flip"]))
    kept = np.load("r/embeddings.npz")
    names = [f"p{person}/{name}.png" for person in range(4) for name in "ab"]
    assert kept["paths"].tolist() == names
    assert kept["embeddings"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(kept["embeddings"], axis=1), 1, rtol=1e-6)
    table = pq.read_table("r/embeddings.parquet")
    assert table["path"].to_pylist() == names
    assert table["person"].to_pylist() == [name[:2] for name in names]
    assert table["score"].null_count == table["box"].null_count == 8
    norm = np.linalg.norm(TinyTeacher().embed(np.stack([portrait(0, 0), portrait(0, 0)[:, ::-1]])), axis=1)
    assert table["norm"][0].as_py() == pytest.approx(norm.mean() if flip else norm[0], rel=1e-5)
    with open("r/cosines.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["path", *names]
    for first, second in ((0, 1), (0, 6), (5, 3)):
        expected = cosine_of(divmod(first, 2), divmod(second, 2), flip)
        assert float(rows[first + 1][second + 1]) == pytest.approx(expected, abs=2e-6)
    assert "rank correlation: n/a with the detector's score, n/a with the size of the face" in output
    assert all(Path("r", name).stat().st_size > 10_000 for name in ("cosines.png", "pairs.png"))


def test_every_face_found_has_a_name_and_norms_are_ranked_with_score_and_size(people, monkeypatch):
    stats = pytest.importorskip("scipy.stats")
    monkeypatch.setattr("photos.pool.Pool.run", lambda self, tasks: ((task, self._work(task)) for task in tasks))
    lines = [",".join(["photo", *(f"{axis}{n}" for n in range(5) for axis in "xy"), *BOX, "score"])]
    rng = np.random.default_rng(0)
    for person in range(3):
        for shift in range(2 if person == 1 else 1):
            points = (template((112, 112)) + 3 * shift).ravel()
            box = (5, 5, 5 + rng.integers(30, 90), 5 + rng.integers(30, 90))
            lines.append(",".join(map(str, [f"p{person}/a.png", *points, *box, rng.uniform(0.6, 1)])))
    Path("given.csv").write_text("\n".join(lines))
    given = ("--detector", "none", "--landmarks", "given.csv", "--choose", "all")
    output = sentences("embed", "--model", "tiny.onnx", "--in", "photos", "--out", "r", *given)
    table = pq.read_table("r/embeddings.parquet").to_pydict()
    assert table["path"] == np.load("r/embeddings.npz")["paths"].tolist()
    assert table["path"] == ["p0/a.png", "p1/a.png", "p1/a.png~2", "p2/a.png"]
    assert table["person"] == ["p0", "p1", "p1", "p2"]
    assert "4 faces, 16 dimensions, by tiny.onnx; 5 photos without" in output
    sizes = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in table["box"]]
    score, size = (stats.spearmanr(table["norm"], other).statistic for other in (table["score"], sizes))
    assert f"rank correlation: {score:+.2f} with the detector's score, {size:+.2f} with the size of the face" in output
    again = {line["similar"]: line for line in csv.DictReader(Path("r/pairs.csv").read_text().splitlines())}
    assert set(again) == {"most", "least", "most, of different people", "least, of one person"}
    only = again["least, of one person"]
    assert (only["first"], only["second"]) == ("p1/a.png", "p1/a.png~2")


def test_faces_of_another_size_and_folders_without_any_are_refused(people):
    cv2.imwrite("photos/p0/small.png", portrait(0, 0)[:100])
    assert "faces of different sizes" in invoke(*EMBED, code=2)
    Path("one").mkdir()
    cv2.imwrite("one/small.png", portrait(0, 0)[:100])
    one = ("embed", "--model", "tiny.onnx", "--aligned", "--in", "one", "--out", "r")
    assert "faces of 100x112, the model takes 112x112: align the photos" in invoke(*one, code=2)
    Path("none").mkdir()
    assert "no pictures in it" in invoke(
        "embed", "--model", "tiny.onnx", "--aligned", "--in", "none", "--out", "r", code=2
    )


def test_faces_wider_than_the_model_takes_are_cropped_to_it(people, monkeypatch):
    whole = np.load((invoke(*EMBED), "r/embeddings.npz")[1])["embeddings"]
    monkeypatch.setattr(Model, "size", (112, 96))
    invoke(*EMBED)
    assert np.load("r/embeddings.npz")["embeddings"].shape == whole.shape


def test_of_many_faces_the_first_are_drawn_and_no_matrix_is_written(people, monkeypatch):
    drawn = []
    monkeypatch.setattr("photos.embed.results.LARGEST_MATRIX", 7)
    monkeypatch.setattr("photos.embed.results.HEAT_MAP", 3)
    monkeypatch.setattr("photos.embed.results.draw_matrix", lambda *told: drawn.append(told))
    assert "more than 7 faces: no matrix of cosines is written" in invoke(*EMBED)
    assert not Path("r/cosines.csv").exists()
    ((cosines, names, faces, _),) = drawn
    assert (cosines.shape, names, faces) == ((3, 3), ["p0/a.png", "p0/b.png", "p1/a.png"], 8)


def test_compare_says_which_face_of_how_many_it_took_and_why_there_is_none(people):
    photos = Path("photos/p0/a.png"), Path("photos/p0/b.png")
    box, landmarks = np.array([10, 20, 50, 70], np.float32), np.zeros((5, 2), np.float32)
    taken = AlignedFace("aligned", None, box, landmarks, 0.9, portrait(0, 0))
    other = AlignedFace("passed over", "another face was chosen", box, landmarks, 0.8, None)

    def lines(*faces):
        return list(compare_photos(Model(), SimpleNamespace(faces=lambda rgb: list(faces)), photos, None))

    assert lines(taken)[:2] == [f"{name}.png: a face of 40x50 pixels, score 0.900" for name in "ab"]
    assert lines(other, taken)[0] == ("a.png: a face of 40x50 pixels, score 0.900, of 2 the most central large one")
    for faces, reason in (((), "no face found"), ((other,), "another face was chosen")):
        with pytest.raises(DataError, match=f"photos/p0/a.png: {reason}: give another photo"):
            lines(*faces)


def test_what_is_said_fits_80_columns_and_names_stay_whole(people):
    name = "-".join(["a-person-of-a-very-long-name"] * 3)
    Path("photos/p0").rename(f"photos/{name}")
    Path("new").mkdir()
    Path("photos/p1/b.png").rename("new/known.png")
    calibrated(0.1)
    said = invoke(*EMBED)
    said += invoke("compare", "--model", "tiny.onnx", "--aligned", f"photos/{name}/a.png", f"photos/{name}/b.png")
    said += invoke(
        "gallery", "--model", "tiny.onnx", "--aligned", "--gallery", "photos", "--in", "new", "--out", "r", "-k", "7"
    )
    assert all(len(line) <= 80 or name in line.split()[0] for line in said.splitlines()), said
    assert said.split().count(f"{name}/a.png") > 1


def test_compare_says_cosine_and_verdict_at_the_threshold_stored_or_given(people):
    pair = ("compare", "--model", "tiny.onnx", "--aligned", "photos/p0/a.png", "photos/p0/b.png")
    cosine = cosine_of((0, 0), (0, 1))
    output = sentences(*pair)
    assert f"cosine {cosine:.4f}" in output
    assert "no threshold is known for tiny.onnx" in output
    assert f"one person, by cosine {cosine - 0.01:g}, as given" in sentences(*pair, "--threshold", cosine - 0.01)
    assert "two people, by" in sentences(*pair, "--threshold", cosine + 0.01)
    calibrated(cosine - 0.01)
    assert "at FAR 0.01, on 100 pairs of strangers in mine" in sentences(*pair)
    assert "one person, by" in sentences(*pair, "--far", "0.01")
    assert "thresholds of flip-sum embeddings, these are single" in invoke(*pair, "--no-flip", code=2)
    calibrated(cosine + 0.01)
    assert "two people, by" in sentences(*pair)


def test_gallery_finds_the_people_and_judges_by_the_threshold(people):
    Path("new").mkdir()
    Path("photos/p3/b.png").rename("new/unknown.png")
    Path("photos/p3/a.png").unlink()
    Path("photos/p1/b.png").rename("new/known.png")
    between = (cosine_of((1, 0), (1, 1)) + max(cosine_of((3, 1), (person, 0)) for person in range(3))) / 2
    calibrated(between)
    output = invoke(
        "gallery", "--model", "tiny.onnx", "--aligned", "--gallery", "photos", "--in", "new", "--out", "r", "-k", 1
    )
    assert "known.png: p1/a.png" in output
    assert "1 of 2 probes have somebody above the threshold" in output
    with open("r/neighbours.csv", newline="") as file:
        found = {line["probe"]: (line["gallery"], line["same"]) for line in csv.DictReader(file)}
    assert found["known.png"] == ("p1/a.png", "yes")
    assert found["unknown.png"][1] == "no"


def test_a_model_of_another_size_than_templates_have_wants_aligned_faces(people, monkeypatch):
    monkeypatch.setattr(Model, "size", (128, 128))
    message = invoke("compare", "--model", "tiny.onnx", "photos/p0/a.png", "photos/p0/b.png", code=2)
    assert "takes faces of 128x128, photos are aligned to 112x112, 112x96" in message


@pytest.mark.real
def test_photos_are_aligned_to_the_model_and_boxes_and_scores_are_kept(people, monkeypatch, real_file, data_root):
    real_file("models/face_detection_yunet_2023mar.onnx")
    monkeypatch.setattr(Model, "size", (112, 96))
    two = Path("two")
    two.mkdir()
    for person in ("Hu_Jintao", "Vicente_Fox"):
        (two / person).symlink_to(real_file(f"lfw/photos/{person}"))
    output = invoke("embed", "--model", "tiny.onnx", "--data", data_root, "--in", two, "--out", "r", "--workers", 1)
    table = pq.read_table("r/embeddings.parquet")
    assert table.num_rows == 10
    assert min(table["score"].to_pylist()) > 0.8
    assert {cv2.imread(str(path)).shape for path in Path("r/aligned").rglob("*.png")} == {(112, 96, 3)}
    assert json.loads(Path("r/aligned/aligner.json").read_text())["template"] == "cosface"
    assert "n/a" not in output


@pytest.mark.real
def test_sface_tells_the_people_of_lfws_photos_apart(tmp_path, real_file, data_root):
    model = real_file("models/face_recognition_sface_2021dec.onnx")
    photos = real_file("lfw/photos")
    of = {name: sorted((photos / name).iterdir()) for name in ("Vicente_Fox", "Hu_Jintao")}
    compare = ("compare", "--model", model, "--data", data_root, "--threshold", 0.3)
    assert "one person" in invoke(*compare, of["Vicente_Fox"][2], of["Vicente_Fox"][3])
    assert "two people" in invoke(*compare, of["Vicente_Fox"][2], of["Hu_Jintao"][0])
