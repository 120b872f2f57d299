"""What an experiment tracker is told of a run, and that a training survives whatever it does."""

import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from distill.run import tracker
from tests.distill.small_runs import curves, equal, final_state, run


class Account:
    """What a module that stands for a tracker was asked: runs begun, numbers by step, ends."""

    def __init__(self) -> None:
        self.begun: list[dict] = []
        self.numbers: dict[int, dict[str, float]] = {}
        self.ends = 0

    def init(self, **asked):
        self.begun.append(asked)
        name = asked.get("name")
        return SimpleNamespace(name=f"{name}-there", id=f"{name}-there", log=self.log, finish=self.finish)

    def log(self, numbers, step):
        self.numbers.setdefault(step, {}).update(numbers)

    def finish(self):
        self.ends += 1

    # Of mlflow.
    def start_run(self, run_id=None, run_name=None):
        self.begun.append({"id": run_id, "name": run_name})
        return SimpleNamespace(info=SimpleNamespace(run_id="of-mlflow"))

    def log_dict(self, options, file):
        self.begun[-1]["config"] = options


def module_of(account: Account) -> ModuleType:
    fake = ModuleType("tracker")
    fake.init, fake.start_run, fake.log_dict = account.init, account.start_run, account.log_dict
    fake.set_experiment, fake.log_metrics, fake.end_run = lambda name: None, account.log, account.finish
    return fake


@pytest.fixture(params=["trackio", "wandb", "mlflow"])
def service(request, monkeypatch):
    account = Account()
    monkeypatch.setitem(sys.modules, request.param, module_of(account))
    return request.param, account


def test_a_tracker_is_told_the_numbers_of_the_curves_and_goes_on_with_the_run(service, cached, stop_at):
    name, account = service
    stop_at(5, "tracked", train={"epochs": 2, "track": name})
    assert account.begun[0]["config"]["head"]["m"] > 0
    assert account.begun[0]["name"] == "tracked"
    assert account.begun[0].get("id") is None
    run("tracked", train={"epochs": 2, "track": name})
    lines = {line["step"]: line["loss"] for line in curves("tracked")}
    assert {step: numbers["training/loss"] for step, numbers in account.numbers.items()} == lines
    asked = account.begun[1]
    assert (asked["name"] if name == "trackio" else asked["id"]) in ("tracked-there", "of-mlflow"), "it goes on there"
    assert account.ends == 2


def test_a_training_with_a_tracker_ends_in_the_same_bits_as_without(monkeypatch, cached):
    monkeypatch.setitem(sys.modules, "trackio", module_of(Account()))
    run("with", train={"epochs": 1, "track": "trackio"})
    run("without", train={"epochs": 1})
    assert equal(final_state("with"), final_state("without"))


@pytest.mark.parametrize("where", ["init", "log", "finish"])
def test_a_tracker_that_breaks_is_a_line_and_the_training_goes_on(where, monkeypatch, cached, capsys):
    account = Account()

    def broken(*_, **__):
        raise RuntimeError("no such server\nand more of it")

    setattr(account, where, broken)
    monkeypatch.setitem(sys.modules, "wandb", module_of(account))
    run("soft", train={"epochs": 2, "track": "wandb"})
    said = [line for line in capsys.readouterr().out.splitlines() if "wandb" in line]
    assert said == ["train.track = 'wandb': not tracked from here on (no such server)"]
    assert curves("soft")[-1]["step"] == 8


def test_a_tracker_that_is_not_installed_is_a_line(monkeypatch, cached, capsys):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    run("soft", train={"epochs": 1, "track": "mlflow"})
    assert "train.track = 'mlflow': not tracked, it cannot be imported" in capsys.readouterr().out


def test_nobody_waits_for_ever_for_a_tracker_that_hangs(monkeypatch, cached, capsys):
    account, never = Account(), threading.Event()
    account.log = lambda *_, **__: never.wait()
    monkeypatch.setitem(sys.modules, "trackio", module_of(account))
    monkeypatch.setattr(tracker, "SECONDS_TO_END", 0.2)
    try:
        run("soft", train={"epochs": 1, "track": "trackio"})
        assert "trackio: not all of the run is there" in capsys.readouterr().out
    finally:
        never.set()


def test_without_a_tracker_no_thread_is_started(cached):
    run("alone", train={"epochs": 1})
    assert "tracker" not in {thread.name for thread in threading.enumerate()}
