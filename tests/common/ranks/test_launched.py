"""What a launcher left out or got wrong is said in one line, before ranks wait for each other."""

import re

import pytest
import torch

from common.errors import ConfigError
from common.ranks import launched_rank, launched_ranks, rank_here, ranks_here, refuse_half_launched
from common.runtime import choose_device, process_group

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
WHOLE = dict(zip(NAMES, ("3", "4", "1", "2", "node1", "29400"), strict=True))


@pytest.fixture
def launched(monkeypatch):
    """Callable: the environment of a launcher, with changes; None leaves a variable out."""

    def set_all(**changes: str | None) -> None:
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
        for name, value in changes.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return set_all


def test_a_process_without_a_launcher_is_the_only_one(launched):
    launched()
    assert (launched_rank(), launched_ranks(), rank_here(), ranks_here()) == (0, 1, 0, 1)
    refuse_half_launched()


def test_a_launchers_numbers_are_taken(launched):
    launched(**WHOLE)
    assert (launched_rank(), launched_ranks(), rank_here(), ranks_here()) == (3, 4, 1, 2)
    refuse_half_launched()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"MASTER_ADDR": None}, "WORLD_SIZE=4, but MASTER_ADDR not set: start ranks by `python -m common.launch`"),
        ({"MASTER_PORT": "", "LOCAL_RANK": None}, "WORLD_SIZE=4, but LOCAL_RANK, MASTER_PORT not set"),
        ({"RANK": None}, "WORLD_SIZE=4, but RANK not set"),
        ({"RANK": "4"}, "RANK=4, but WORLD_SIZE=4, so it is 3 at most"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK=2, but LOCAL_WORLD_SIZE=2, so it is 1 at most"),
        ({"WORLD_SIZE": None}, "RANK=3, but WORLD_SIZE=1"),  # as common/processes.py starts them: no ranks
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two: not a whole number"),
        ({"WORLD_SIZE": "0"}, "RANK=3, but WORLD_SIZE=0"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK=-1: not a whole number"),
    ],
)
def test_a_group_that_could_not_meet_is_refused_before_it_waits(launched, changes, line):
    launched(**{**WHOLE, **changes})
    with pytest.raises(ConfigError, match=re.escape(line)) as refused, process_group(torch.device("cpu")):
        pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "cards", "line"),
    [
        ({}, 0, "--device cuda: torch sees no CUDA device; use --device cpu"),
        ({"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "4"}, 2, "4 ranks, but torch sees 2 CUDA device(s); use GPUS=2"),
        ({"LOCAL_RANK": "3"}, 2, "4 ranks, but torch sees 2 CUDA device(s)"),
        ({"LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "2"}, 2, "4 ranks, but torch sees 2 CUDA device(s)"),
        ({"LOCAL_RANK": "one"}, 2, "LOCAL_RANK=one: not a whole number"),
    ],
)
def test_ranks_without_a_card_are_refused_on_all_of_them(launched, monkeypatch, environment, cards, line):
    launched(**environment)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    with pytest.raises(ConfigError, match=re.escape(line)):
        choose_device("cuda")


def test_ranks_that_never_meet_end_in_one_line(launched, monkeypatch):
    launched(**{**WHOLE, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"})
    monkeypatch.setattr("common.runtime.STEP_MINUTES", 1 / 60)
    line = "MASTER_ADDR=localhost MASTER_PORT=1: the 4 ranks do not meet there"
    with pytest.raises(ConfigError, match=line) as lost, process_group(torch.device("cpu")):
        pass
    assert "\n" not in str(lost.value)
    assert not torch.distributed.is_initialized()
