"""The recipe of docs/photos.md, line by line, on real photos with SFace."""

import csv
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from evaluate.__main__ import main as evaluate
from photos.__main__ import main as photos
from photos.pool import Pool

PAGE = (Path(__file__).parents[2] / "docs" / "photos.md").read_text()
MAKE = ("python -m photos align -- {IN} {OUT}-aligned", "python -m photos pack -- {OUT}-aligned {OUT}")
"""What `make photos` runs (held by tests/test_make.py)."""


def recipe(values: dict[str, str]) -> list[list[str]]:
    section = PAGE.split("## From photos to an accuracy")[1].split("\n## ")[0]
    lines = re.findall(r"^    (\S.*)$", section, re.MULTILINE)
    for text in lines[:2]:
        assert {name.split("=")[0] for name in text.split()} <= set(values)
    commands = []
    for line in lines[2:]:
        for name, value in values.items():
            line = line.replace(f"${name}", value)
        made = dict(word.split("=") for word in line.split()[2:]) if line.startswith("make photos") else None
        commands += [one.format(**made) for one in MAKE] if made else [line]
    return [shlex.split(command) for command in commands]


@pytest.mark.real
def test_the_recipe_runs_as_it_is_written(tmp_path, real_file, data_root, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pool, "run", lambda self, tasks: ((task, self._work(task)) for task in tasks))
    real_file("models/face_detection_yunet_2023mar.onnx")
    model = "models/face_recognition_sface_2021dec.onnx"
    real_file(model)
    (tmp_path / "data").symlink_to(data_root)
    for name in ("people", "new"):
        Path(name).mkdir()
        for person in ("Hu_Jintao", "Vicente_Fox"):
            Path(name, person).symlink_to(real_file(f"lfw/photos/{person}"))
    first, second = sorted(Path("people/Hu_Jintao").iterdir())[:2]
    values = {"PHOTOS": str(real_file("lfw/photos")), "OUT": "mine", "MODEL": model}
    said = []
    for _, _, program, *words in recipe(values):
        words = [{"A.jpg": str(first), "B.jpg": str(second)}.get(word, word) for word in words]
        result = CliRunner().invoke({"photos": photos, "evaluate": evaluate}[program], words)
        assert result.exit_code == 0, (words, result.output)
        said.append(result.output)
    assert "60 faces aligned of 60 photos, 12 people" in said[0]
    (measured,) = csv.DictReader(Path("mine-accuracy/results.csv").read_text().splitlines())
    assert (measured["pairs"], float(measured["accuracy"])) == ("100", pytest.approx(0.99, abs=0.011))
    assert "one person, by cosine" in said[-2]
    assert len(list(Path("mine-likeness").glob("*.png"))) == 2
