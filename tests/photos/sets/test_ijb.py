"""InsightFace's IJB package becomes a set that evaluates: faces by its recipe, the protocol unchanged, 1:1 and 1:N."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.embeddings import Embeddings
from common.errors import DataError
from common.faces import decode_rgb, encode_jpeg
from evaluate.files import ArrowFaces, read_metadata
from evaluate.protocols import evaluate_templates
from evaluate.sets import open_set
from photos.sets.ijb import write_ijb
from photos.sets.ijb_meta import read_pairs, read_people
from tests.tiny import portrait

# The numbers of eval_ijbc.py, moved by eight pixels as it does.
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
PEOPLE, PHOTOS = 6, 4
FACES = PEOPLE * PHOTOS


def crop(person: int, photo: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture with the portrait turned, scaled and moved in it, and where the template's points are there."""
    angle, scale, shift = 0.1 * (photo - 1), 1.2 + 0.4 * person, (20.0 + photo, 10.0 + person)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place = np.column_stack([turn, shift])
    picture = cv2.warpAffine(portrait(person, photo), place, (440, 420), flags=cv2.INTER_CUBIC)
    noise = np.random.default_rng([person, photo]).normal(0, 1, (5, 2))
    return picture, TEMPLATE @ turn.T + shift + noise


def write_package(folder: Path, name: str = "ijbc") -> list[tuple[np.ndarray, np.ndarray]]:
    """Each person has an enrolled template of two photos, two media, and a probe of two frames of one medium."""
    (folder / "meta").mkdir(parents=True)
    (folder / "loose_crop").mkdir()
    crops, points, media = [], [], []
    for face in range(FACES):
        person, photo = divmod(face, PHOTOS)
        rgb, landmarks = crop(person, photo)
        (folder / "loose_crop" / f"{face + 1}.jpg").write_bytes(encode_jpeg(rgb))
        crops.append((rgb, landmarks))
        numbers = " ".join(f"{value:.3f}" for value in landmarks.ravel())
        points.append(f"{face + 1}.jpg {numbers} {0.5 + face / 100:.2f}\n")
        media.append(f"{face + 1}.jpg {template_of(person, photo)} {min(photo, 2) + 10 * person}\n")
    pairs = [(template_of(a, 0), template_of(b, 2), int(a == b)) for a in range(PEOPLE) for b in range(PEOPLE)]
    heading = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n"
    rows = {
        half: "".join(f"{template_of(p, 0)},{500 + p},img/{n}.jpg\n" for p in people for n in range(2))
        for half, people in (("1", range(3)), ("2", range(3, PEOPLE)))
    }
    letter = {"ijbb": "S", "ijbc": "G"}[name]
    texts = {"name_5pts_score.txt": points, "face_tid_mid.txt": media}
    texts |= {"template_pair_label.txt": [f"{a} {b} {same}\n" for a, b, same in pairs]}
    texts |= {f"1N_gallery_{letter}{half}.csv": [heading, text] for half, text in rows.items()}
    texts |= {"1N_probe_mixed.csv": [heading, *(f"{template_of(p, 2)},{500 + p},frame\n" for p in range(PEOPLE))]}
    for file, lines in texts.items():
        (folder / "meta" / f"{name}_{file}").write_text("".join(lines))
    return crops


def template_of(person: int, photo: int) -> int:
    return 1000 - 10 * person + photo // 2


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write_package(tmp_path / "IJBC")
    return tmp_path / "IJBC"


def least_squares(points: np.ndarray) -> np.ndarray:
    """The similarity of least squares by the normal equations, without Umeyama's closed form."""
    x, y = points.T
    ones, zeros = np.ones(5), np.zeros(5)
    system = np.concatenate([np.column_stack([x, -y, ones, zeros]), np.column_stack([y, x, zeros, ones])])
    a, b, tx, ty = np.linalg.lstsq(system, TEMPLATE.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, tx], [b, a, ty]])


def test_faces_are_those_of_insightfaces_recipe(tmp_path, package):
    write_ijb(package, tmp_path / "set", workers=3)
    faces = ArrowFaces(tmp_path / "set")
    assert len(faces) == FACES
    for face in range(FACES):
        loose = decode_rgb((package / "loose_crop" / f"{face + 1}.jpg").read_bytes(), "crop")
        line = (package / "meta" / "ijbc_name_5pts_score.txt").read_text().splitlines()[face].split()
        matrix = least_squares(np.array(line[1:11], np.float32).reshape(5, 2).astype(np.float64))
        theirs = cv2.warpAffine(loose, matrix, (112, 112), borderValue=0.0).astype(int)
        assert faces[face].startswith(b"\x89PNG")
        ours = decode_rgb(faces[face], "face").astype(int)
        # OpenCV's fast warp places samples on a grid of 1/32 pixel.
        assert np.abs(ours - theirs).mean() < 1
        # The portrait that was turned, scaled and moved is upright again.
        middle = np.s_[30:80, 30:80]
        assert np.abs(ours[middle] - portrait(*divmod(face, PHOTOS))[middle]).mean() < 8


def test_the_protocol_arrays_are_those_of_the_files_and_evaluate_in_both_protocols(tmp_path, package):
    write_ijb(package, tmp_path / "set")
    meta = read_metadata(tmp_path / "set" / "metadata.pt")
    people, photos = np.divmod(np.arange(FACES), PHOTOS)
    np.testing.assert_array_equal(meta["templates"], 1000 - 10 * people + photos // 2)
    np.testing.assert_array_equal(meta["medias"], np.minimum(photos, 2) + 10 * people)
    np.testing.assert_allclose(meta["faceness_scores"], 0.5 + np.arange(FACES) / 100, atol=1e-6)
    assert (meta["label"].sum(), len(meta["p1"])) == (PEOPLE, PEOPLE**2)
    np.testing.assert_array_equal(meta["g1_templates"], [980, 990, 1000])
    np.testing.assert_array_equal(meta["g1_subjects"], [502, 501, 500])
    np.testing.assert_array_equal(meta["probe_subjects"], 505 - np.arange(PEOPLE))

    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(PEOPLE, 8))[people] + rng.normal(0, 0.4, (FACES, 8))).astype(np.float32)
    result = open_set(tmp_path / "set").measure(Embeddings(rows, np.ones(FACES, np.float32)), False)
    found = result.poolings["N1D0"]
    # Sums of means of media, by hand.
    pooled = {}
    for person in range(PEOPLE):
        of = rows[person * PHOTOS : (person + 1) * PHOTOS].astype(float)
        pooled[template_of(person, 0)], pooled[template_of(person, 2)] = of[0] + of[1], (of[2] + of[3]) / 2
    scores = [
        pooled[a] @ pooled[b] / np.linalg.norm(pooled[a]) / np.linalg.norm(pooled[b])
        for a, b in zip(meta["p1"].tolist(), meta["p2"].tolist(), strict=True)
    ]
    matrix = np.array(scores).reshape(PEOPLE, PEOPLE)  # enrolled by row, probes by column
    assert found.closed_set.rank[1] == np.mean(matrix.argmax(0) == np.arange(PEOPLE))
    wrong = np.sort(matrix[~np.eye(PEOPLE, dtype=bool)])
    assert found.tar_at_most_far[1e-6].tar == np.mean(np.diag(matrix) > wrong[-1])
    assert found.two_galleries is not None


def test_the_set_does_not_depend_on_workers_and_ijbb_has_its_own_names(tmp_path):
    write_package(tmp_path / "IJBB", "ijbb")
    write_ijb(tmp_path / "IJBB", tmp_path / "one", workers=1)
    write_ijb(tmp_path / "IJBB", tmp_path / "four", workers=4)
    assert ArrowFaces(tmp_path / "one")[:] == ArrowFaces(tmp_path / "four")[:]
    assert "g2_templates" in read_metadata(tmp_path / "one" / "metadata.pt")


def test_without_the_split_the_set_is_for_1_to_1_alone(tmp_path, package):
    for file in package.glob("meta/*.csv"):
        file.unlink()
    assert "no 1:N split" in write_ijb(package, tmp_path / "set")
    meta = read_metadata(tmp_path / "set" / "metadata.pt")
    rows = np.random.default_rng(0).normal(size=(FACES, 8)).astype(np.float32)
    assert evaluate_templates(rows, meta).poolings["N1D1"].closed_set is None


DAMAGE = {
    "11 fields": ("name_5pts_score.txt", 3, lambda line: line.rsplit(" ", 1)[0], "line 3: 11 fields, expected 12"),
    "no number": ("name_5pts_score.txt", 2, lambda line: line.rsplit(" ", 1)[0] + " x", "line 2: expected a name"),
    "nan": ("name_5pts_score.txt", 24, lambda line: line.rsplit(" ", 1)[0] + " nan", "line 24: expected a name"),
    "escape": ("name_5pts_score.txt", 5, lambda line: "../" + line, "line 5: '../5.jpg' is no picture below"),
    "points": ("name_5pts_score.txt", 7, lambda line: "7.jpg" + 10 * " 5" + " 1", "line 7: the landmarks are all in"),
    "no crop": ("name_5pts_score.txt", 1, lambda line: line.replace("1.jpg", "77.jpg"), "77.jpg"),
    "other face": ("face_tid_mid.txt", 4, lambda line: "9" + line, "line 4: names '94.jpg' where .* has '4.jpg'"),
    "no template": ("face_tid_mid.txt", 4, lambda line: "4.jpg one 2", "line 4: 'one' is no whole number"),
    "overflow": ("face_tid_mid.txt", 4, lambda line: f"4.jpg {10**19 - 1} 2", "line 4: '9{19}' is no whole number"),
    "strange pair": ("template_pair_label.txt", 36, lambda line: "77 950 0", "line 36: template 77 has no face"),
    "label": ("template_pair_label.txt", 8, lambda line: line[:-1] + "2", "line 8: label 2, expected 1"),
    "short pair": ("template_pair_label.txt", 9, lambda line: line[:-2], "line 9: 2 fields, expected 3"),
    "heading": ("1N_gallery_G1.csv", 1, lambda line: "1,2,3", "line 1: expected a heading"),
    "two people": (
        "1N_gallery_G1.csv",
        3,
        lambda line: line.replace("500", "9"),
        "line 3: template 1000 is of person 9",
    ),
    "two templates": ("1N_gallery_G2.csv", 4, lambda line: "961,503", "line 4: person 503 has template 961, and 970"),
    "no gallery face": ("1N_probe_mixed.csv", 2, lambda line: "5,500,", "line 2: template 5 has no face"),
    "stranger": ("1N_probe_mixed.csv", 3, lambda line: line.replace("501", "9"), "person 9 is in neither gallery"),
    "controls": ("face_tid_mid.txt", 6, lambda line: "\x1b[2J" + line, r"line 6: names '\\x1b"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_line_is_named_with_its_number(tmp_path, package, case):
    file, number, change, told = DAMAGE[case]
    path = package / "meta" / f"ijbc_{file}"
    lines = path.read_text().splitlines()
    lines[number - 1] = change(lines[number - 1])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=told) as refusal:
        write_ijb(package, tmp_path / "set")
    assert "\x1b" not in str(refusal.value)
    assert "ijbc" in str(refusal.value)
    assert sorted(path.name for path in tmp_path.iterdir()) in (["IJBC"], [".set.lock", "IJBC"])


def test_a_missing_file_of_the_split_and_a_crop_that_is_no_picture_are_named(tmp_path, package):
    (package / "loose_crop" / "8.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"line 8: .*8\.jpg: 0 bytes"):
        write_ijb(package, tmp_path / "set")
    (package / "meta" / "ijbc_1N_gallery_G2.csv").unlink()
    with pytest.raises(DataError, match=r"G2\.csv: missing, though"):
        write_ijb(package, tmp_path / "set")


def test_the_fast_reader_of_pairs_equals_the_slow_one(tmp_path):
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.integers(0, 50, (500, 2)), rng.integers(0, 2, 500)])
    exact, lax = tmp_path / "exact", tmp_path / "lax"
    exact.write_text("".join("{} {} {}\n".format(*row) for row in table.tolist()))
    lax.write_text("".join("{}  {}\t{} \r\n".format(*row) for row in table.tolist()))
    for path in (exact, lax):
        np.testing.assert_array_equal(np.column_stack(read_pairs(path, np.arange(50))), table)


def test_a_probe_person_may_have_several_templates_and_a_lost_one_is_named_with_its_first_line(tmp_path):
    path = tmp_path / "probe.csv"
    path.write_text("TEMPLATE_ID,SUBJECT_ID\n7,1\n5,1\n5,1\n6,2\n")
    templates, people = read_people(path, np.array([5, 6, 7]), gallery=False)
    assert (templates.tolist(), people.tolist()) == ([5, 6, 7], [1, 2, 1])
    with pytest.raises(DataError, match="line 3: person 1 has template 5, and 7 above"):
        read_people(path, np.array([5, 6, 7]), gallery=True)
    with pytest.raises(DataError, match="line 3: template 5 has no face"):
        read_people(path, np.array([6, 7]), gallery=False)
