"""Curves on disk: whole up to the checkpoint, nothing after it, and one line for what cannot be read or written."""

from pathlib import Path

import pytest

from common.errors import DataError, UserError
from distill import train
from distill.run.curves import Curves
from distill.step import Trainer
from tests.distill.conftest import EVERY_LINE
from tests.distill.small_runs import curves, run

DAMAGED_CURVES = [b"[]", b"null", b'{"step": "a"}', b"\xff\xfe", b"[" * 100_000, b'{"step": 3}', b"not json"]


@pytest.mark.parametrize("line", DAMAGED_CURVES, ids=range(len(DAMAGED_CURVES)))
def test_a_damaged_line_is_named_in_the_curves_and_dropped_behind_them(cached, line):
    run("lines", train={"epochs": 1, "log_every": 2})
    path = Path("runs/lines/metrics.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + line)  # what a power cut can leave
    run("lines", train={"epochs": 1, "log_every": 2})
    assert path.read_bytes() == whole
    first, *others = whole.splitlines()
    path.write_bytes(b"\n".join([first, line, *others]) + b"\n")
    with pytest.raises(DataError, match=r"runs/lines/metrics\.jsonl: line 2 is damaged: move it away"):
        run("lines", train={"epochs": 1, "log_every": 2})


def test_a_folder_in_the_place_of_curves_is_one_line(cached):
    Path("runs/odd/metrics.jsonl").mkdir(parents=True)
    with pytest.raises(DataError, match=r"metrics\.jsonl: cannot be read \(Is a directory\): move it away"):
        run("odd")


def test_a_file_in_the_place_of_the_runs_is_one_line(cached):
    Path("runs").write_text("in the way")
    with pytest.raises(UserError, match=r"runs/odd: cannot be written \(.*\): see to the folder"):
        run("odd")


def test_curves_hold_the_checkpoint_s_lines_and_none_after_it(cached, stop_at, monkeypatch):
    """The step after the checkpoint is logged, and taken again: its line must not stand there twice."""
    options = {**EVERY_LINE, "checkpoint_minutes": 1000}
    stop_at(7, "lines", train=options)  # the newest checkpoint is of step 4, that of 7 waits for step 8
    assert [line["step"] for line in curves("lines")] == [1, 2, 3, 4, 5, 6]
    monkeypatch.setattr(Trainer, "step", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run("lines", train=options)
    assert [line["step"] for line in curves("lines")] == [1, 2, 3, 4]


def test_curves_on_a_full_disk_are_one_line(tmp_path):
    with Curves(tmp_path, 0.0, 0) as written:
        whole = written._file
        written._file = open("/dev/full", "w", buffering=1)  # noqa: SIM115
        with pytest.raises(UserError, match=r"metrics\.jsonl: the curves cannot be written \(No space left") as error:
            written.add(1, {"epoch": 0.5, "loss": 1.0})
        written._file = whole
    assert "\n" not in str(error.value)


def test_a_line_is_waited_for_when_the_next_step_is_on_its_way_and_before_a_checkpoint_at_once(cached, monkeypatch):
    said: list[str] = []
    step, add, save = Trainer.step, Curves.add, train.save_progress

    def noted(name, function):
        def note(*given):
            number = given[2].step if name == "checkpoint" else given[1] if name == "line" else given[2] + 1
            said.append(f"{name} {number}")
            return function(*given)

        return note

    monkeypatch.setattr(Trainer, "step", noted("step", step))
    monkeypatch.setattr(Curves, "add", noted("line", add))
    monkeypatch.setattr(train, "save_progress", noted("checkpoint", save))
    run("order", train={**EVERY_LINE, "epochs": 1, "checkpoint_minutes": 1000})
    assert said == ["step 1", "step 2", "line 1", "step 3", "line 2", "step 4", "line 3", "line 4", "checkpoint 4"]
