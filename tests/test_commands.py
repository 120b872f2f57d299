"""The commands as a user types them: what is wrong comes as one line, with exit status 2 and nothing left behind."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from cache.__main__ import main as cache
from cache.build import build
from common.config.file import toml_of
from common.faces.sources import open_source
from distill.__main__ import main as distill
from evaluate.__main__ import main as evaluate
from tests.tiny import TinyTeacher, experiment, jpegs


def write_config(**sections) -> str:
    Path("tiny.toml").write_text(toml_of(experiment(**sections)))
    return "tiny.toml"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """As everywhere in the tests: commands would take all cores, and wait for other programs on them."""
    monkeypatch.setattr("common.runtime.set_threads", lambda threads, ranks: 1)


def refuse(command, *arguments: str) -> str:
    """Run a command that must refuse; its one line."""
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert not Path("caches").exists() or {p.suffix for p in Path("caches").glob(".*")} <= {".lock", ".claims"}
    return result.output


def test_a_config_that_is_not_there(world):
    for command, verb in ((cache, "build"), (distill, "train"), (evaluate, "run")):
        assert "no such configuration file" in refuse(command, verb, "--config", "nowhere.toml")


def test_a_misspelt_key_on_the_command_line(world):
    assert "did you mean margin?" in refuse(distill, "train", "--config", write_config(), "--set", "head.margn=none")


def test_faces_that_are_not_there(world):
    line = refuse(cache, "build", "--config", write_config(faces={"path": "gone"}))
    assert "data/gone: no training faces there" in line


def test_a_rec_that_is_cut_off(world):
    rec = Path("data/faces/train.rec")
    rec.write_bytes(rec.read_bytes()[:-50])
    assert "train.rec" in refuse(cache, "build", "--config", write_config())


def test_an_idx_that_points_outside(world):
    idx = Path("data/faces/train.idx")
    lines = idx.read_text().splitlines()
    idx.write_text("\n".join([lines[0].split("\t")[0] + "\t999999999", *lines[1:]]) + "\n")
    assert "train.rec" in refuse(cache, "build", "--config", write_config())


def test_a_teacher_that_is_not_there(world):
    assert "tiny.onnx" in refuse(cache, "build", "--config", write_config())
    assert not Path("caches").exists()


def test_training_without_a_cache(world):
    assert "make cache-teacher" in refuse(distill, "train", "--config", write_config())
    assert not Path("runs").exists()


def test_a_cache_of_other_faces(world):
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    from common.faces.recordio_dataset import write_recordio_dataset

    write_recordio_dataset(Path("data/faces"), jpegs(7, 5, first=50))
    line = refuse(distill, "train", "--config", write_config())
    assert "faces.fingerprint is" in line
    assert "in the cache and" in line


def test_evaluating_before_training(world):
    assert "make distill" in refuse(evaluate, "run", "--config", write_config())


def test_check_prints_the_plan_and_what_is_missing_and_does_nothing(world):
    config = write_config()
    for command, verb in ((cache, "build"), (distill, "train"), (evaluate, "run")):
        result = CliRunner().invoke(command, [verb, "--config", config, "--check"])
        assert result.exit_code == 2
        assert "MISSING: " in result.output
    assert not Path("caches").exists()
    assert not Path("runs").exists()
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    result = CliRunner().invoke(distill, ["train", "--config", config, "--check"])
    assert result.exit_code == 0
    for fact in ("35 of 7 people", "2 epochs of 4 = 8, global batch 8", "nothing is missing"):
        assert fact in result.output


def test_the_run_keeps_its_resolved_configuration(world):
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    result = CliRunner().invoke(distill, ["train", "--config", write_config(), "--set", "train.epochs=1"])
    assert result.exit_code == 0, result.output
    kept = tomllib.loads(Path("runs/tiny/config.toml").read_text())
    assert kept["train"]["epochs"] == 1
    assert "student in runs/tiny/student.safetensors" in result.output


@pytest.mark.parametrize("content", [b"", b"not a pickle"])
def test_a_bin_that_is_no_pickle(world, content):
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    Path("data/broken.bin").write_bytes(content)
    config = write_config(evaluate={"sets": {"broken": "broken.bin"}, "teacher": False})
    assert CliRunner().invoke(distill, ["train", "--config", config, "--set", "train.epochs=1"]).exit_code == 0
    assert "broken.bin" in refuse(evaluate, "run", "--config", config)
