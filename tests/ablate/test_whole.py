"""A true ablation from its file to its study, by the commands themselves."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ablate.results import collect, pair_scores
from common.config import toml_of
from tests.distill.conftest import cached, cached_world, paired  # noqa: F401 - fixtures
from tests.tiny import experiment

ROOT = Path(__file__).parents[2]
TWO = """
extends = "base.toml"
name = "two"
[ablate]
metrics = ["pairs.accuracy", "pairs.tar@1e-2"]
baseline = "alone"
[ablate.cases]
alone = { head = "arcface" }
taught = { head = "adadistill-arcface" }
"""


@pytest.mark.slow
def test_two_true_students_are_planned_trained_evaluated_and_read_back(paired):  # noqa: F811
    train = {"epochs": 2, "evaluate_every": 1, "best_by": "pairs.auc", "keep_checkpoints": 1}
    evaluate = {"sets": {"pairs": "pairs.bin"}, "teacher": False, "far": (0.1,)}
    base = experiment(name="base", cache={"path": "caches/tiny"}, head="arcface", train=train, evaluate=evaluate)
    Path("base.toml").write_text(toml_of(base))
    Path("two.toml").write_text(TWO)
    where = ["--config", "two.toml", "--data", "data", "--device", "cpu", "--threads", "1"]

    def ablate(command: str, *more: str) -> str:
        asked = [sys.executable, "-m", "ablate", command, *where, *more]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
        done = subprocess.run(asked, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    plan = " ".join(ablate("plan").split())
    assert "cache caches/tiny: sealed, read by 1 runs" in plan
    assert "2 runs, 16 steps" in plan, "35 faces in batches of 8 are 4 steps an epoch"
    assert "nothing is missing" in plan
    assert not Path("runs").exists()
    said = ablate("run", "--slots", "2")
    assert said.count(": done: runs/two-") == 2
    study = collect("two.toml", Path("data"))
    for run in study.runs:
        assert (run.status, run.failure) == ("done", "")
        scores = pair_scores(run, "pairs")
        assert len(scores.scores) == 20
        genuine, impostors = scores.scores[scores.issame], scores.scores[~scores.issame]
        auc = np.mean(genuine[:, None] > impostors) + np.mean(genuine[:, None] == impostors) / 2
        assert run.metrics["pairs.auc"] == pytest.approx(auc)
        assert run.best["pairs.auc"] >= run.metrics["pairs.auc"]
    assert ", 0 of them to do" in ablate("run")
