"""The whole way: models and `.bin` files in, report files out."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from common.errors import DataError
from evaluate.binfile import write_bin
from evaluate.report import results_table
from evaluate.run import evaluate_models
from tests.evaluate.stand_ins import Linear


@pytest.fixture
def face_set(tmp_path):
    """Sixty pairs of noise faces; a same pair is one face twice, the second time with other noise."""
    rng = np.random.default_rng(0)
    issame = np.arange(60) % 2 == 0
    pictures = []
    for same in issame:
        first = rng.integers(0, 256, (8, 8, 3))
        second = np.clip(first + rng.normal(0, 40, first.shape), 0, 255) if same else rng.integers(0, 256, first.shape)
        pictures += [cv2.imencode(".png", face.astype(np.uint8))[1].tobytes() for face in (first, second)]
    write_bin(tmp_path / "noise.bin", pictures, issame)
    return tmp_path / "noise.bin"


def test_report_holds_every_model_and_set_and_says_what_was_skipped(tmp_path, face_set):
    models = {"wide": Linear(dim=64), "narrow": Linear(dim=2)}
    sets = {"noise": face_set, "cfp_fp": tmp_path / "cfp_fp.bin"}
    evaluation = evaluate_models(models, sets, tmp_path / "out", quiet=True)

    assert evaluation.skipped == {"cfp_fp": f"not found: {tmp_path / 'cfp_fp.bin'}"}
    assert evaluation.results["wide"]["noise"].accuracy > evaluation.results["narrow"]["noise"].accuracy

    stored = json.loads((tmp_path / "out/results.json").read_text())
    assert stored["skipped"] == evaluation.skipped
    rows = list(csv.DictReader((tmp_path / "out/results.csv").open()))
    assert [(row["model"], row["set"]) for row in rows] == [("wide", "noise"), ("narrow", "noise")]
    for row in rows:
        result = evaluation.results[row["model"]]["noise"]
        assert float(row["accuracy"]) == stored["results"][row["model"]]["noise"]["accuracy"] == result.accuracy
        assert float(row["tar_at_far_0.001"]) == result.tar_at_far[1e-3].tar

    curve = [row for row in csv.DictReader((tmp_path / "out/roc-noise.csv").open()) if row["model"] == "wide"]
    far, tar = result_curve(evaluation.results["wide"]["noise"])
    assert [float(row["far"]) for row in curve] == far
    assert [float(row["tar"]) for row in curve] == tar
    assert cv2.imread(str(tmp_path / "out/roc-noise.png")).shape[1] > 600
    assert all(path.exists() for path in evaluation.written)


def result_curve(result):
    return [column.tolist() for column in result.roc().turning_points()]


def test_table_shows_accuracy_threshold_and_tar(tmp_path, face_set):
    evaluation = evaluate_models({"wide": Linear(dim=64)}, {"noise": face_set}, None, quiet=True)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(results_table(evaluation.results))
    text = console.export_text()
    result = evaluation.results["wide"]["noise"]
    for shown in (
        f"{100 * result.accuracy:.2f}",
        f"{result.threshold:.3f}",
        f"{100 * result.tar_at_far[1e-3].tar:.2f}",
    ):
        assert shown in text
    assert not list(tmp_path.glob("*.json"))


def test_nothing_to_evaluate_on_names_every_path_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"cfp not found: .*cfp\.bin; lfw not found: .*lfw\.bin"):
        evaluate_models({"m": Linear()}, {"cfp": tmp_path / "cfp.bin", "lfw": tmp_path / "lfw.bin"}, None)


def test_a_damaged_set_stops_the_evaluation(tmp_path, face_set):
    (tmp_path / "cut.bin").write_bytes(face_set.read_bytes()[:500])
    with pytest.raises(DataError, match=r"cut\.bin"):
        evaluate_models({"m": Linear()}, {"noise": face_set, "cut": tmp_path / "cut.bin"}, None, quiet=True)
