"""LFW from scikit-learn's folder to training faces and sets: nobody is in both, and the order is the protocol's."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from common.errors import UserError
from common.faces import decode_rgb, encode_jpeg, open_source
from evaluate.files import load_bin
from photos.__main__ import main
from photos.sets.draw import Pair, read_pairs
from photos.sets.lfw import blocks, find_photos
from tests.tiny import portrait

FOLDS, HALF, PHOTOS = 10, 20, 3
PER_FOLD = 8
PEOPLE = [f"Fold{1 + n // PER_FOLD}_Person{n % PER_FOLD}" for n in range(FOLDS * PER_FOLD)] + ["No_Pair", "Not_Either"]


@pytest.fixture
def data_home(tmp_path: Path) -> Path:
    """What `fetch_lfw_people(funneled=False)` leaves, of made-up people."""
    home = tmp_path / "home" / "lfw_home"
    for person, name in enumerate(PEOPLE):
        (home / "lfw" / name).mkdir(parents=True)
        for photo in range(PHOTOS):
            (home / "lfw" / name / f"{name}_{photo + 1:04}.jpg").write_bytes(encode_jpeg(portrait(person, photo)))
    lines = [f"{FOLDS}\t{HALF}"]
    for fold in range(1, FOLDS + 1):
        members = [f"Fold{fold}_Person{n}" for n in range(PER_FOLD)]
        same = [f"{name}\t{a}\t{b}" for name in members for a, b in ((1, 2), (1, 3), (2, 3))]
        different = [f"{a}\t1\t{b}\t2" for a in members for b in members if a < b]
        lines += same[:HALF] + different[:HALF]
    (home / "pairs.txt").write_text("\n".join(lines) + "\n")
    for name in ("pairsDevTrain.txt", "pairsDevTest.txt"):
        (home / name).write_text("1\nFold1_Person0\t1\t2\nFold1_Person0\t1\tFold1_Person1\t1\n")
    return tmp_path / "home"


def given_landmarks(folder: Path) -> Path:
    """The template's own points for every photo: an aligned face is its photo."""
    points = "38.2946,51.6963,73.5318,51.5014,56.0252,71.7366,41.5493,92.3655,70.7299,92.2041"
    names = [path.relative_to(folder / "lfw_home" / "lfw").as_posix() for path in folder.glob("lfw_home/lfw/*/*.jpg")]
    file = folder.parent / "landmarks.csv"
    heading = "photo," + ",".join(f"{axis}{n}" for n in range(5) for axis in "xy")
    file.write_text("\n".join([heading, *(f"{name},{points}" for name in sorted(names))]) + "\n")
    return file


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_recipe_comes_out_of_scikit_learns_folder_without_network(tmp_path, data_home, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", None)
    out = tmp_path / "data" / "lfw"
    options = ("--detector", "none", "--landmarks", given_landmarks(data_home), "--workers", 1)
    output = run("lfw", "--out", out, "--data-home", data_home, *options)
    assert "configs/lfw.toml expects 8,729 faces of 4,046 people" in output

    training = open_source(out)
    held = {f"Fold{fold}" for fold in (1, 2, 6, 9)}
    assert training.people == sorted(name for name in PEOPLE if name.split("_")[0] not in held)
    assert Counter(training.labels.tolist()) == dict.fromkeys(range(len(training.people)), PHOTOS)
    assert training.aligner["detector"]["name"] == "given"

    pairs = read_pairs(data_home / "lfw_home" / "pairs.txt")
    for path, wanted in (
        (out / "lfw.bin", [pair for fold in pairs for pair in fold]),
        (tmp_path / "data" / "golden" / "bins" / "lfw_folds12.bin", [p for fold in blocks(pairs[:2]) for p in fold]),
    ):
        pictures, issame = load_bin(path)
        assert issame.tolist() == [pair.same for pair in wanted]
        names = [face for pair in wanted for face in pair[:2]]
        for picture, name in zip(pictures[::7], names[::7], strict=True):
            person, photo = PEOPLE.index(name.split("/")[0]), int(name[-4:]) - 1
            assert np.abs(decode_rgb(picture, "face").astype(int) - portrait(person, photo)).mean() < 5
        assert not {face.split("/")[0] for face in names[: 4 * HALF]} & set(training.people)
    assert "given" in run("info", out / "lfw.bin")
    assert "given" in run("info", out)


def test_scikit_learn_itself_takes_the_folder_for_its_own(data_home):
    datasets = pytest.importorskip("sklearn.datasets")
    bunch = datasets.fetch_lfw_people(
        data_home=str(data_home), funneled=False, download_if_missing=False, slice_=None, min_faces_per_person=PHOTOS
    )
    assert set(bunch.target_names) == {name.replace("_", " ") for name in PEOPLE}


def test_ten_blocks_of_two_folds_keep_the_order_and_are_balanced():
    folds = [[Pair(f"{fold}/{n}", "b", n < 300) for n in range(600)] for fold in range(2)]
    made = blocks(folds)
    assert [[pair.same for pair in block] for block in made] == 10 * [60 * [True] + 60 * [False]]
    same = [pair.first for block in made for pair in block if pair.same]
    assert same == [f"{fold}/{n}" for fold in range(2) for n in range(300)]


def test_without_scikit_learn_or_network_the_way_out_is_named(tmp_path, monkeypatch):
    def no_network(**options):
        raise OSError("name resolution failed")

    monkeypatch.setattr("sklearn.datasets.fetch_lfw_people", no_network)
    with pytest.raises(UserError, match=r"download failed .*name resolution failed.* give --photos"):
        find_photos(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(UserError, match="pip install scikit-learn"):
        find_photos(tmp_path)


def test_a_download_of_other_bytes_than_those_pinned_is_refused(tmp_path, monkeypatch):
    def other_bytes(url, path):
        Path(path).write_bytes(b"not LFW")

    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", other_bytes)
    with pytest.raises(UserError, match=r"download failed \(.*SHA256 checksum.*differs.*give --photos"):
        find_photos(tmp_path)
    assert not list(tmp_path.rglob("*.jpg"))


def test_what_is_not_all_of_lfw_is_refused(tmp_path, data_home):
    few = tmp_path / "few.txt"
    few.write_text("1\nA\t1\t2\nA\t1\tB\t1\n")
    photos = data_home / "lfw_home" / "lfw"
    arguments = ("--photos", photos, "--detector", "none", "--landmarks", given_landmarks(data_home), "--workers", 1)
    runner = CliRunner()
    for extra, told in ((("--pairs", few), "1 folds, LFW's pairs.txt has 10"), ((), "a fold has no pairs left")):
        if not extra:
            for name in PEOPLE:
                if name != "No_Pair" and not name.startswith(("Fold1_", "Fold2_")):
                    shutil.rmtree(photos / name)
        result = runner.invoke(main, ["lfw", "--out", str(tmp_path / "out"), *map(str, arguments), *map(str, extra)])
        assert told in result.output
        assert not (tmp_path / "out").exists()


@pytest.mark.real
def test_the_benchmark_set_is_rebuilt_pair_for_pair(tmp_path, real_file):
    """Folds 1 and 2 of LFW's protocol, read back from the set there is, are arranged as that set is."""
    golden = json.loads(real_file("golden/bins/lfw_folds12.json").read_text())
    faces = [f"{name[:-5]}/{name}" for name in golden["images"]]
    pairs = [Pair(*two, same) for *two, same in zip(faces[::2], faces[1::2], golden["issame"], strict=True)]
    same, different = ([pair for pair in pairs if pair.same is kind] for kind in (True, False))
    folds = [same[:300] + different[:300], same[300:] + different[300:]]
    lines = ["2\t300"]
    for pair in (pair for fold in folds for pair in fold):
        (a, x), (b, y) = ((face.split("/")[0], int(face[-4:])) for face in pair[:2])
        lines.append(f"{a}\t{x}\t{y}" if pair.same else f"{a}\t{x}\t{b}\t{y}")
    (tmp_path / "pairs.txt").write_text("\n".join(lines))
    assert [pair for block in blocks(read_pairs(tmp_path / "pairs.txt")) for pair in block] == pairs
