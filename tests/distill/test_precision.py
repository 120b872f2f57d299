"""train.precision = "auto": bfloat16 where every rank's GPU has it, and the same for a run's whole life."""

from pathlib import Path

import pytest
import torch

from common.config import load_config
from common.runtime import has_bfloat16, rank
from distill.precision import settled
from tests.distill.small_runs import CPU, curves, equal, on_ranks, run
from tests.tiny import experiment

AUTO = {"precision": "auto"}


@pytest.mark.parametrize(
    ("capability", "supported", "has"),
    [((7, 0), True, False), ((7, 5), True, False), ((8, 0), True, True), ((9, 0), True, True), ((8, 0), False, False)],
)
def test_a_gpu_has_bfloat16_from_ampere_on(monkeypatch, capability, supported, has):
    """torch says of Volta and Turing, which imitate it, that they support it."""
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: supported)
    assert has_bfloat16(torch.device("cuda", 1)) is has
    assert has_bfloat16(CPU) is False


@pytest.mark.parametrize(("has", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_settled_by_the_device_and_nothing_else_is(world, monkeypatch, has, precision):
    monkeypatch.setattr("distill.precision.has_bfloat16", lambda device: has)
    assert settled(experiment(train=AUTO), CPU) == experiment(train={"precision": precision})
    for given in ("float32", "bfloat16", "float16"):
        assert settled(experiment(train={"precision": given}), CPU).train.precision == given


def settle_on_rank(number: int) -> None:
    Path(f"{number}.txt").write_text(settled(experiment(train=AUTO), CPU).train.precision)


@pytest.mark.parametrize(("with_it", "precision"), [({0}, "float32"), ({1}, "float32"), ({0, 1}, "bfloat16")])
def test_ranks_on_cards_of_two_kinds_take_what_all_have(tmp_path, monkeypatch, with_it, precision):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("distill.precision.has_bfloat16", lambda device: rank() in with_it)
    on_ranks(2, settle_on_rank)
    assert [Path(f"{number}.txt").read_text() for number in (0, 1)] == [precision] * 2


def test_a_run_keeps_the_precision_it_began_with_wherever_it_goes_on(cached, stop_at, monkeypatch, capsys):
    whole = run("whole", train={"precision": "bfloat16"})
    monkeypatch.setattr("distill.precision.has_bfloat16", lambda device: True)
    capsys.readouterr()
    stop_at(5, "moved", train=AUTO)
    assert "in bfloat16 on cpu" in capsys.readouterr().out
    assert load_config("runs/moved/config.toml").train.precision == "bfloat16"
    monkeypatch.setattr("distill.precision.has_bfloat16", lambda device: False)
    assert equal(run("moved", train=AUTO), whole)
    assert curves("moved") == curves("whole")
    assert not equal(run("elsewhere", train=AUTO), whole)
