"""Checkpoints as files: what is kept, in which order it reaches the disk, and what is made of files that are none."""

import os
import resource
from pathlib import Path

import pytest
import torch

from common.errors import DataError, UserError
from common.files import temporary_of
from distill.run import checkpoints
from tests.distill.conftest import EVERY_LINE
from tests.distill.small_runs import equal, run


def test_only_the_last_checkpoints_are_kept(cached):
    run("kept", train={**EVERY_LINE, "keep_checkpoints": 2})
    names = [path.name for path in sorted(Path("runs/kept/checkpoints").iterdir())]
    assert names == ["step000000007.pt", "step000000008.pt"]


def test_the_best_checkpoint_is_kept_apart_and_later_ones_of_undone_work_go(tmp_path):
    for step in range(1, 7):
        checkpoints.save(tmp_path, step, {"step": step}, keep=2, best=step == 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "step000000005.pt", "step000000006.pt"]
    checkpoints.save(tmp_path, 4, {"step": 4}, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "step000000004.pt"]
    assert checkpoints.latest(tmp_path) == {"step": 4}
    assert torch.load(tmp_path / "best.pt", weights_only=True) == {"step": 2}


def test_a_checkpoint_is_on_the_disk_before_its_name_and_the_best_before_the_sequence(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def syncing(handle):
        calls.append(("sync", os.readlink(f"/proc/self/fd/{handle}").removeprefix(f"{tmp_path}")))
        fsync(handle)

    def replacing(old, new):
        calls.append(("name", str(new).removeprefix(f"{tmp_path}")))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    checkpoints.save(tmp_path / "kept", 7, {"step": 7}, keep=2, best=True)
    temporary = [f"/kept/{temporary_of(Path(name))}" for name in ("step000000007.pt", "best.pt")]
    names = [call for call in calls if call[0] == "name"]
    assert names == [("name", "/kept/best.pt"), ("name", "/kept/step000000007.pt")]
    first, second = map(calls.index, names)
    assert ("sync", temporary[0]) in calls[:first]
    assert ("sync", temporary[1]) in calls[:first]
    assert calls[first + 1] == ("sync", "/kept")
    assert ("sync", temporary[0]) in calls[first:second]
    assert calls[second + 1] == ("sync", "/kept")


HOSTILE = {
    "a list": [1, 2],
    "nothing": None,
    "no state at all": {},
    "a step that is text": {"step": "7"},
    "a step below zero": {"step": -1},
    "seconds that are none": {"seconds": float("nan")},
    "a best that is a list": {"best": [1, 2]},
    "no ranks": {"ranks": 0},
    "a student that is a number": {"student": 3},
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_is_no_checkpoint_is_named_and_passed_over(cached, content, capsys):
    weights = run("hostile", train={"epochs": 1})
    whole = torch.load("runs/hostile/checkpoints/step000000004.pt", weights_only=True)
    bad = Path("runs/hostile/checkpoints/step000000005.pt")
    torch.save({**whole, **content} if isinstance(content, dict) and content else content, bad)
    assert equal(run("hostile", train={"epochs": 1}), weights)
    said = [line for line in capsys.readouterr().out.splitlines() if "damaged checkpoint" in line]
    assert len(said) == 1
    assert f"{bad}: damaged checkpoint (" in said[0]


def test_a_checkpoint_of_another_network_is_one_line(cached):
    run("other", train={"epochs": 1})
    path = Path("runs/other/checkpoints/step000000004.pt")
    state = torch.load(path, weights_only=True)
    state["head"] = {"centers.weight": torch.zeros(3, 16)}
    torch.save(state, path)
    with pytest.raises(DataError, match="the newest checkpoint is of another network") as error:
        run("other", train={"epochs": 1})
    assert "\n" not in str(error.value)


def test_folders_and_other_names_among_the_checkpoints_are_passed_over(cached):
    weights = run("odd", train={"epochs": 1})
    Path("runs/odd/checkpoints/step000000009.pt").mkdir()
    Path("runs/odd/checkpoints/step9-copy.pt").write_bytes(b"")
    assert equal(run("odd", train={"epochs": 1}), weights)


def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(tmp_path):
    checkpoints.save(tmp_path, 1, {"step": 1}, keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"step000000002\.pt: cannot be written .*make room and run"):
            checkpoints.save(tmp_path, 2, {"step": 2, "weights": torch.zeros(1_000_000)}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.latest(tmp_path) == {"step": 1}
