"""The demo ends with a page of what its students say, with the teacher and without."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from demo.run import ALONE, DISTILLED, WITH, WITHOUT, experiment, write_demo_page

ROOT = Path(__file__).parents[2]
TEACHER = 0.8675


def finish(path: str, seed: int, accuracy: float) -> None:
    """What a finished run leaves, as far as the page reads it."""
    config = experiment(path, seed)
    tar = {"0.01": {"tar": accuracy / 2, "far": 0.01, "threshold": 0.3}}
    sets = {"accuracy": accuracy, "tar_at_far": tar}
    teacher = {"accuracy": TEACHER, "tar_at_far": tar}
    (config.run_dir / "evaluation").mkdir(parents=True)
    report = {"results": {config.name: {"unseen": sets}, "teacher (teacher)": {"unseen": teacher}}}
    (config.run_dir / "evaluation" / "results.json").write_text(json.dumps(report))
    (config.run_dir / "summary.json").write_text(json.dumps({"seconds": 60.0, "steps": 10}))
    (config.run_dir / "student.safetensors").touch()


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_demos_page_compares_its_students_over_the_seeds_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    taught, alone = [0.861, 0.863, 0.859][:seeds], [0.539, 0.692, 0.718][:seeds]
    for seed in range(seeds):
        finish(DISTILLED, seed, taught[seed])
        finish(ALONE, seed, alone[seed])
    page = write_demo_page(seeds)
    assert page == Path("runs/demo/report.html")
    text = page.read_text()
    assert "Not done" not in text
    for number in (100 * np.mean(taught), 100 * np.mean(alone), 100 * TEACHER):
        assert f"{number:.2f}" in text
    assert WITH in text
    assert WITHOUT in text
    assert f"{100 * (np.mean(taught) - np.mean(alone)):+.2f} points" in text
    assert (" over seeds)" in text) == (seeds > 1)
