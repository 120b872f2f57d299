"""The whole way: models and `.bin` files in, report files out."""

import csv
import io
import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from common.config import MeasureConfig
from common.errors import ConfigError, DataError
from common.faces.evaluation_sets import write_bin
from common.figures import in_picture, new_figure
from common.text import printable
from evaluate.files import load_bin
from evaluate.report.tables import results_table
from evaluate.run import evaluate_models
from tests.evaluate.stand_ins import Linear

ONE_IN_TEN = MeasureConfig(far=(0.1,))


class Collapsed:
    """Every face the same embedding."""

    def embed(self, faces):
        return np.ones((len(faces), 4), np.float32)


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
        assert row["tar_at_far_0.001"] == "", "30 impostor pairs cannot show a FAR of 0.001"
        assert float(row["threshold"]) == 1 - result.threshold / 2
        assert float(row["threshold_squared_distance"]) == result.threshold

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
    for shown in (f"{100 * result.accuracy:.2f}", f"{1 - result.threshold / 2:.3f}", "n/a"):
        assert shown in text
    console.print(
        results_table(evaluate_models({"wide": Linear(dim=64)}, {"noise": face_set}, None, ONE_IN_TEN).results)
    )
    assert f"{100 * result.roc().tar_nearest(0.1).tar:.2f}" in console.export_text()


def printed(table):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_val_is_shown_with_the_far_it_really_had(face_set):
    """A student that gives all faces one embedding accepts everything: VAL 100 % at FAR 1."""
    evaluation = evaluate_models({"collapsed": Collapsed()}, {"noise": face_set}, None, quiet=True)
    assert evaluation.results["collapsed"]["noise"].val == 1.0
    shown = dict(
        line.rsplit(maxsplit=1) for line in printed(results_table(evaluation.results)).splitlines() if "  " in line
    )
    assert (shown["VAL"], shown["@FAR"]) == ("100.00", "1")


def test_no_sets_at_all_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"name them in \[evaluate\.sets\]"):
        evaluate_models({"m": Linear()}, {}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


HOSTILE = "=1+1 [red]$x^2$ \x1b]0;title\x07 \udcff" + "long" * 70


def test_a_hostile_name_survives_every_table_picture_and_csv(tmp_path, face_set):
    models, sets = {HOSTILE: Linear(dim=4), "_$": Linear(dim=3), "../up": Linear(dim=3)}, {"[bold]$": face_set}
    evaluation = evaluate_models(models, sets, tmp_path / "out", quiet=True)
    assert {path.parent for path in evaluation.written} == {tmp_path / "out"}
    assert len(set(evaluation.written)) == len(evaluation.written) == 3 + 4 + 3 * 5
    for path in evaluation.written:
        assert len(path.name.encode()) <= 255
        assert not set(path.name) & set(" []()$/\x1b")
        assert path.suffix in (".png", ".npz") or b"\x1b" not in path.read_bytes()
    rows = list(csv.DictReader((tmp_path / "out/results.csv").open(encoding="utf-8")))
    assert rows[0]["model"] == "'" + printable(HOSTILE)
    assert list(json.loads((tmp_path / "out/results.json").read_text())["results"]) == list(models)
    console = Console(width=2000, record=True, file=io.StringIO())
    console.print(results_table(evaluation.results, 2000))
    text = console.export_text()
    assert printable(HOSTILE) in text
    assert "[bold]$" in text
    assert "\x1b" not in text


def test_a_name_is_drawn_as_it_is():
    figure, axes = new_figure("a $x_$ and \\$ and $")
    assert axes.get_title(loc="left") == in_picture("a $x_$ and \\$ and $")
    axes.plot([0, 1], label=in_picture("_hidden $\\frac$"))
    axes.legend()
    figure.canvas.draw()  # a formula that cannot be parsed raises here
    assert len(axes.get_legend().get_texts()) == 1
    assert len(in_picture("n" * 500)) < 100


def test_nothing_to_evaluate_on_names_every_path_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"cfp not found: .*cfp\.bin; lfw not found: .*lfw\.bin"):
        evaluate_models({"m": Linear()}, {"cfp": tmp_path / "cfp.bin", "lfw": tmp_path / "lfw.bin"}, None)


def test_a_set_that_cannot_be_measured_is_refused_before_anything_is_embedded(tmp_path, face_set):
    class Never:
        def embed(self, faces):
            raise AssertionError("embedded")

    pictures, issame = load_bin(face_set)
    for name, same, told in (
        ("sorted", np.sort(issame), r"sorted\.bin: fold 6 of 10 has no pair of different people"),
        ("few", issame[:6], r"few\.bin: 6 pairs cannot be split into 10 folds: give"),
    ):
        write_bin(tmp_path / f"{name}.bin", pictures[: 2 * len(same)], same)
        with pytest.raises(DataError, match=told):
            evaluate_models({"m": Never()}, {"noise": face_set, name: tmp_path / f"{name}.bin"}, None, quiet=True)


def test_a_damaged_set_stops_the_evaluation(tmp_path, face_set):
    (tmp_path / "cut.bin").write_bytes(face_set.read_bytes()[:500])
    with pytest.raises(DataError, match=r"cut\.bin"):
        evaluate_models({"m": Linear()}, {"noise": face_set, "cut": tmp_path / "cut.bin"}, None, quiet=True)
