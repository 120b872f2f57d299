"""`python -m export run` and its parts, from a run's folder to measured files."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from common.config import MeasureConfig, toml_of
from evaluate.calibrate import calibrate_model
from evaluate.models import open_weights
from export.__main__ import main
from export.account import account_in
from export.gate import read_measured
from export.quantise import choose_floats
from tests.library import BACKBONE
from tests.tiny import DIM, experiment


@pytest.fixture
def ready(finished, monkeypatch):
    """The library's world with an experiment file beside the run; no time spent on timing, or on a search that an
    untrained student would need (tests/export/quantise has it)."""

    def without_search(graph, ranges, faces, mean, q01, *rest, **named):
        return choose_floats(graph, ranges, faces, 0, 0, *rest, **named)

    monkeypatch.setattr("export.students.choose_floats", without_search)
    monkeypatch.setattr("export.measure.SECONDS", 0.0)
    monkeypatch.setattr("export.measure.FEWEST", 1)
    config = experiment(
        name="lfw",
        cache={"path": "caches/lfw"},
        student={"backbone": BACKBONE, "embedding_size": DIM},
        evaluate={"sets": {"pairs": "lfw.bin"}},
    )
    Path("runs/lfw/config.toml").write_text(toml_of(config))
    return finished


def export(*words):
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def test_an_experiment_leaves_as_measured_files_bound_to_its_cache(ready):
    student = open_weights("runs/lfw/student.safetensors", Path("data"), "cpu", 1, MeasureConfig())
    for _ in calibrate_model(student, "pairs", Path("data/lfw.bin"), [0.1]):
        pass
    status, said = export("run", "--config", "runs/lfw/config.toml", "--formats", "onnx int8")
    assert status == 0, said
    folder = Path("exports/lfw")
    rows = read_measured(folder)
    assert [row.precision for row in rows] == ["float32", "int8"]
    assert {path.name for path in folder.iterdir()} == {"measured.json", *(row.file for row in rows)}
    assert rows[0].cosine_mean == pytest.approx(1)
    assert rows[1].bytes < 0.9 * rows[0].bytes
    assert "largest deviation from PyTorch" in said
    whole, account = (account_in(onnx.load(folder / row.file), folder).model_dump() for row in rows)
    assert [row["far"] for row in whole["thresholds"]["rows"]] == [0.1]
    assert account["thresholds"] is None  # int8 has cosines of its own
    sealed = json.loads(Path("caches/lfw/zarr.json").read_text())["attributes"]
    assert account["cache_sha256"] in json.dumps(sealed)
    assert account["precision"] == "int8"
    assert account["calibration_faces"] == 23  # two thirds of 35
    # Measured once more: what failed stays failed, what passed is not written anew under another name.
    status, said = export("measure", folder, "--on", "pairs=lfw.bin")
    assert status == 0, said
    assert [row.file for row in read_measured(folder)] == [row.file for row in rows]
    shutil.copy(folder / "model.onnx", folder / "model.fp16.failed.onnx")
    status, said = export("measure", folder, "--on", "pairs=lfw.bin")
    [written_as_failed] = [row for row in read_measured(folder) if "fp16" in row.file]
    assert not written_as_failed.passed
    assert written_as_failed.file == "model.fp16.failed.onnx"


def test_check_says_what_is_missing_and_writes_nothing(ready):
    status, said = export("run", "--config", "runs/lfw/config.toml", "--check")
    assert (status, "nothing is missing" in said) == (0, True), said
    Path("runs/lfw/student.safetensors").unlink()
    Path("data/lfw.bin").unlink()
    status, said = export("run", "--config", "runs/lfw/config.toml", "--check")
    assert status == 2
    assert "no student there" in said
    assert "set pairs is not there" in said
    assert not Path("exports").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("run", "--config", "runs/lfw/config.toml", "--formats", "onnx tflite"),
            "'tflite' is none of onnx, fp16, int8",
        ),
        (("quantise", "nowhere", "--config", "runs/lfw/config.toml"), "model.onnx: there is no such file"),
        (("measure", "nowhere", "--on", "a.bin"), "model.onnx: no such file: write it with `python -m export onnx`"),
        (("onnx", "nowhere/student.safetensors", "--out", "x"), "nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(ready, words, line):
    status, said = export(*words)
    assert status == 2
    assert line in said
    assert "Traceback" not in said
