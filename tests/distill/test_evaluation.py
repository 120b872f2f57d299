"""Evaluation in training: the ordinary numbers, on any number of ranks, and no trace in the run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from common.config import ModelConfig
from common.errors import ConfigError
from common.faces.sources import open_source
from common.models.face_model import open_model
from distill.evaluation import StudentEvaluation
from distill.head import TeacherSpace
from distill.run.parts import new_trainer
from distill.run.resume import Best
from evaluate.run import evaluate_models
from tests.distill.conftest import SETS
from tests.distill.small_runs import curves, equal, on_ranks, run
from tests.tiny import DIM, experiment

EVERY = {"epochs": 2, "evaluate_every": 1, "best_by": "pairs.accuracy"}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_that_is_evaluated_has_the_weights_of_one_that_is_not(paired, ema):
    without = run("without", evaluate=SETS, train={"epochs": 2, "ema": ema})
    evaluated = run("evaluated", evaluate=SETS, train={**EVERY, "ema": ema})
    assert equal(evaluated, without)
    assert Path("runs/evaluated/curves.png").exists()
    assert not Path("runs/without/curves.png").exists()
    lines = curves("evaluated")
    assert [line for line in lines if "pairs.accuracy" not in line] == curves("without")
    measured = {line["step"]: line["pairs.accuracy"] for line in lines if "pairs.accuracy" in line}
    assert list(measured) == [4, 8]

    # The last one is what the ordinary evaluation says of the exported student.
    student = open_model(ModelConfig(weights="runs/evaluated/student.safetensors"), Path("."))
    config = experiment(evaluate=SETS)
    result = evaluate_models({"s": student}, {"pairs": Path("data/pairs.bin")}, None, config.evaluate, quiet=True)
    assert measured[8] == result.results["s"]["pairs"].accuracy

    best = max(measured.values())
    at = next(step for step, value in measured.items() if value == best)
    assert json.loads(Path("runs/evaluated/summary.json").read_text())["best"]["step"] == at
    state = torch.load("runs/evaluated/checkpoints/best.pt", weights_only=True)
    assert state["step"] == at
    exported = open_model(ModelConfig(weights="runs/evaluated/best.safetensors"), Path("."))
    assert equal(dict(exported.network.module.state_dict()), state["average" if ema else "student"])


def embed_on_rank(rank: int) -> None:
    torch.manual_seed(rank)  # another dropout or noise on each rank must not matter
    config = experiment(evaluate=SETS, train=EVERY, teacher=None, head={"centers": "learned", "margin": "cosface"})
    trainer = new_trainer(config, open_source("data/faces"), TeacherSpace(DIM), torch.device("cpu"))
    for buffer in trainer.student.buffers():
        buffer.add_(rank)  # running statistics of a rank's own rows
    numbers = StudentEvaluation(config, Path("data")).measure(trainer)
    Path(f"numbers{rank}.json").write_text(json.dumps(numbers))


def test_ranks_share_the_work_and_the_first_has_the_numbers_of_one_process(paired):
    embed_on_rank(0)
    alone = json.loads(Path("numbers0.json").read_text())
    on_ranks(3, embed_on_rank)
    assert json.loads(Path("numbers0.json").read_text()) == pytest.approx(alone)
    assert json.loads(Path("numbers1.json").read_text()) == {}
    assert np.isfinite(list(alone.values())).all()


def test_sets_and_metrics_that_are_not_there_are_refused_before_the_first_step(paired):
    with pytest.raises(ConfigError, match=r"'pairs.acuracy' is no number of that set: it has pairs.accuracy"):
        run("misspelt", evaluate=SETS, train={**EVERY, "best_by": "pairs.acuracy"})
    with pytest.raises(ConfigError, match=r"none of the sets exists \(data/gone.bin\)"):
        run("gone", evaluate={"sets": {"gone": "gone.bin"}}, train={"evaluate_every": 1})


def test_the_lowest_error_rate_is_the_best(paired):
    config = experiment(evaluate=SETS, train={**EVERY, "best_by": "pairs.eer"})
    evaluation = StudentEvaluation(config, Path("data"))
    assert evaluation.better({"pairs.eer": 0.2}, None) == 0.2
    best = Best(step=4, metric="pairs.eer", value=0.2)
    assert evaluation.better({"pairs.eer": 0.1}, best) == 0.1
    assert evaluation.better({"pairs.eer": 0.3}, best) is None
    # A value of another metric cannot be compared with it.
    assert evaluation.better({"pairs.eer": 0.3}, Best(step=4, metric="pairs.accuracy", value=0.2)) == 0.3
