"""Pictures that are not aligned are refused, until the experiment says how they fit; then that binds the cache."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from cache.__main__ import main as cache_command
from cache.build import build
from cache.reader import TeacherCache
from cache.verify import replay
from common.config.file import toml_of
from common.errors import CacheError, DataError
from common.faces import open_faces
from common.faces.fitting import Fit, resized
from common.faces.pixels import encode_jpeg
from common.faces.recordio_dataset import write_recordio_dataset
from distill.__main__ import main as distill
from distill.train import train
from tests.faults.world import write_teacher
from tests.tiny import TinyTeacher, experiment, portrait

ALONE = {"margin": "arcface", "centers": "learned"}


def photo(person: int, number: int) -> np.ndarray:
    """uint8 (250,230,3): a portrait in the middle of something else."""
    wide = np.random.default_rng([3, person, number]).integers(0, 256, (250, 230, 3), np.uint8)
    wide[69:181, 59:171] = portrait(person, number)
    return wide


@pytest.fixture
def photos(world: Path) -> Path:
    """The world's faces as photos that nobody has aligned."""
    people = [[encode_jpeg(photo(person, number)) for number in range(5)] for person in range(7)]
    write_recordio_dataset(world / "data" / "faces", people)
    return world


def build_here(**faces) -> TeacherCache:
    config = experiment(faces={"path": "faces", **faces})
    return TeacherCache(build(config, open_faces(config, Path("data")), TinyTeacher(), threads=1, quiet=True))


def printed(command, *arguments: str, **sections) -> str:
    Path("tiny.toml").write_text(toml_of(experiment(**sections)))
    result = CliRunner().invoke(command, [*arguments[:1], "--config", "tiny.toml", *arguments[1:], "--threads", "1"])
    assert result.exit_code == 2, result.output
    return result.output


def test_photos_are_refused_by_check_and_build_and_training_and_nothing_is_written(photos):
    write_teacher(photos / "data" / "tiny.onnx")
    told = (
        "faces/train.rec: record 1: 250x230 pixels, the {} takes 112x112: align the faces first (docs/data.md), or say "
        'how they fit: faces.fit = "crop" or "resize"\n'
    )
    assert f"MISSING: data/{told.format('teacher')}" in printed(cache_command, "build", "--check", "--device", "cpu")
    assert printed(cache_command, "build", "--device", "cpu") == f"Error: data/{told.format('teacher')}"
    assert not list(Path("caches").glob("[!.]*")) if Path("caches").exists() else True
    assert printed(distill, "train", head=ALONE) == f"Error: data/{told.format('student')}"
    assert f"MISSING: data/{told.format('student')}" in printed(distill, "train", "--check", head=ALONE)
    assert not Path("runs").exists()
    with pytest.raises(DataError, match="250x230 pixels, the teacher takes 112x112"):
        build_here()


def test_a_cache_of_photos_made_without_saying_how_they_fit_trains_no_student(photos, monkeypatch):
    monkeypatch.setattr("cache.build.refuse_other_size", lambda *_: None)
    monkeypatch.setattr(TinyTeacher, "embed", lambda self, faces: faces[:, :1, :16, 0].reshape(-1, 16) + np.float32(1))
    build_here()
    with pytest.raises(DataError, match="250x230 pixels, the teacher takes 112x112"):
        train(experiment(), Path("data"), torch.device("cpu"), 1)


@pytest.mark.parametrize("how", ["crop", "resize"])
def test_teacher_and_student_see_the_pictures_as_the_experiment_fits_them(photos, how):
    config = experiment(faces={"path": "faces", "fit": how})
    source = open_faces(config, Path("data"))
    whole = open_faces(experiment(), Path("data"))
    for sample in (0, 34):
        rgb = whole.rgb(sample)
        want = rgb[69:181, 59:171] if how == "crop" else cv2.resize(rgb, (112, 112), interpolation=cv2.INTER_AREA)
        assert (source.rgb(sample) == want).all()
    built = build_here(fit=how)
    raw = TinyTeacher().embed(np.stack([source.rgb(sample) for sample in range(35)]))
    want = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    np.testing.assert_allclose(built.gather(np.arange(35), 0), want, atol=1e-3)
    assert not replay(built, source, TinyTeacher(), 10).faults()
    # Pixels of every face are compared with those the teacher saw.
    train(
        experiment(faces={"path": "faces", "fit": how}, train={"verify": "all"}), Path("data"), torch.device("cpu"), 1
    )


def test_the_fit_is_part_of_what_a_cache_is_and_absent_where_there_is_none(photos):
    assert build_here(fit="crop").manifest["faces"]["fit"] == "crop 112x112"
    with pytest.raises(CacheError, match=r"faces\.fit is 'crop 112x112' in the cache and 'resize 112x112' now"):
        build_here(fit="resize")
    people = [[encode_jpeg(portrait(person, number)) for number in range(5)] for person in range(7)]
    write_recordio_dataset(Path("data/faces"), people)
    Path("caches/tiny").rename("caches/photos")
    assert "fit" not in build_here().manifest["faces"]


def test_a_picture_smaller_than_the_crop_is_named_and_a_size_without_fit_refused():
    with pytest.raises(DataError, match=r'x: 112x100 pixels, faces.fit = "crop" takes 112x112'):
        Fit("crop", (112, 112)).apply(np.zeros((112, 100, 3), np.uint8), "x")
    with pytest.raises(ValueError, match="size has no effect without fit"):
        experiment(faces={"size": (160, 160)})
    assert resized(np.zeros((50, 70, 3), np.uint8), (160, 112)).shape == (160, 112, 3)


def test_students_of_112x96_crop_aligned_faces_their_own_way(world):
    build_here()
    config = experiment(student={"backbone": "sphere20"}, train={"epochs": 1}, head={"logits_mib": 0})
    train(config, Path("data"), torch.device("cpu"), 1)


def test_expected_samples_are_counted_before_max_per_identity(world):
    few = experiment(faces={"samples": 35, "max_per_identity": 2})
    assert (len(open_faces(few, Path("data"))), open_faces(few, Path("data")).found) == (14, 35)
    with pytest.raises(ValueError, match="35 samples, the config expects 14"):
        open_faces(experiment(faces={"samples": 14, "max_per_identity": 2}), Path("data"))


def test_expected_samples_are_counted_before_max_per_identity_in_folders_too(world):
    for person in "ab":
        for number in range(3):
            Path(f"data/people/{person}").mkdir(parents=True, exist_ok=True)
            Path(f"data/people/{person}/{number}.jpg").write_bytes(encode_jpeg(portrait(0, number)))
    few = experiment(faces={"path": "people", "samples": 6, "max_per_identity": 1}, train={"batch_size": 2})
    assert len(open_faces(few, Path("data"))) == 2
