"""`--check` says the numbers that training then has."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.config.file import toml_of
from common.errors import ConfigError
from distill.__main__ import main as distill
from tests.distill.small_runs import curves, final_state, on_ranks, run
from tests.tiny import experiment

TRAIN = {"epochs": 2, "batch_size": 3, "lr": 0.02, "lr_batch": 2, "schedule": "cosine", "warmup_epochs": 0}


def plan(monkeypatch: pytest.MonkeyPatch, ranks: int, status: int = 0, **sections) -> str:
    """What torchrun with so many ranks would have the first of them print."""
    Path("planned.toml").write_text(toml_of(experiment(**sections)))
    monkeypatch.setattr("distill.calibration.SECONDS", 0.0)
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    result = CliRunner().invoke(distill, ["train", "--config", "planned.toml", "--check"])
    monkeypatch.delenv("WORLD_SIZE")
    assert result.exit_code == status, result.output
    return result.output


def train_on_rank(rank: int) -> None:
    run("planned", train={**TRAIN, "log_every": 1})


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_plan_s_numbers_are_those_of_the_training(cached, monkeypatch, ranks):
    planned = plan(monkeypatch, ranks, name="planned", cache={"path": "caches/tiny"}, train=TRAIN)
    found = re.search(r"steps +(\d+) epochs of (\d+) = (\d+), global batch (\d+)", planned)
    rate = re.search(r"learning rate +(\S+),", planned)
    assert found is not None
    assert rate is not None
    on_ranks(ranks, train_on_rank)
    state, lines = final_state("planned"), curves("planned")
    assert [int(number) for number in found.groups()] == [
        TRAIN["epochs"],
        state["step"] // TRAIN["epochs"],
        state["step"],
        state["ranks"] * state["batch_size"],
    ]
    assert state["step"] == len(lines) == 2 * (35 // (3 * ranks))
    assert float(rate[1]) == pytest.approx(max(line["lr"] for line in lines), rel=1e-3)


def test_a_plan_of_no_steps_is_refused_as_the_training_is(cached, monkeypatch):
    many = {"batch_size": 20}
    assert "MISSING" not in plan(monkeypatch, 1, cache={"path": "caches/tiny"}, train=many)
    refused = plan(monkeypatch, 2, status=2, cache={"path": "caches/tiny"}, train=many)
    assert "MISSING: train.batch_size: 35 faces do not fill one global batch of 40" in refused
    with pytest.raises(ConfigError, match="35 faces do not fill one global batch of 40"):
        run("none", train={"batch_size": 40})
