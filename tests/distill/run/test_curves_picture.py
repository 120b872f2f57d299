"""curves.png shows the numbers of metrics.jsonl: the loss, and what was evaluated in per cent."""

import json

import cv2
import pytest

from common.errors import DataError
from distill.run import curves_picture
from distill.run.curves_picture import draw_curves

LINES = [
    {"step": 5, "epoch": 0.5, "loss": 9.0},
    {"step": 10, "epoch": 1.0, "loss": None},
    {"step": 10, "epoch": 1.0, "lfw.accuracy": 0.75, "cfp_fp.accuracy": 0.5},
    {"step": 20, "epoch": 2.0, "loss": 4.0},
    {"step": 20, "epoch": 2.0, "lfw.accuracy": 0.875, "cfp_fp.accuracy": None},
]


def test_loss_and_accuracy_are_drawn_over_epochs(tmp_path, monkeypatch):
    figures = []
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    monkeypatch.setattr(curves_picture, "save_png", lambda figure, path, dpi: figures.append((figure, path.name)))
    draw_curves(tmp_path, "mine", ["lfw.accuracy", "cfp_fp.accuracy"])
    ((figure, name),) = figures
    assert name == "curves.png"
    left, right = figure.axes
    drawn = {line.get_label(): line.get_xydata().tolist() for axes in (left, right) for line in axes.lines}
    assert drawn == {
        "loss": [[0.5, 9.0], [2.0, 4.0]],
        "lfw.accuracy % 87.50": [[1.0, 75.0], [2.0, 87.5]],
        "cfp_fp.accuracy % 50.00": [[1.0, 50.0]],
    }
    assert (left.get_ylabel(), right.get_ylabel(), left.get_xlabel()) == ("loss", "%", "epoch")


def test_the_picture_is_written(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    draw_curves(tmp_path, "mine", ["lfw.accuracy"])
    assert cv2.imread(f"{tmp_path}/curves.png").std() > 5, "something is drawn"


def test_a_run_without_numbers_is_named(tmp_path):
    with pytest.raises(DataError, match=r"metrics\.jsonl"):
        draw_curves(tmp_path, "mine", [])
