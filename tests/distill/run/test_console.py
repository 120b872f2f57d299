"""What a user sees of a training: plain lines on a pipe, one live line on a terminal, both within 80 columns."""

import multiprocessing
import os
import pty
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from common.config.file import toml_of
from distill.__main__ import main
from distill.run.console import line_due
from tests.distill.conftest import SETS
from tests.tiny import experiment

ROOT = Path(__file__).parents[3]
EVALUATED = {"epochs": 2, "evaluate_every": 1, "best_by": "pairs.accuracy", "log_every": 50}


def words(name: str, **sections: Any) -> list[str]:
    """What `python -m distill` is told, to train `name` from the world's cache."""
    Path(f"{name}.toml").write_text(toml_of(experiment(name=name, cache={"path": "caches/tiny"}, **sections)))
    return ["train", "--config", f"{name}.toml", "--device", "cpu", "--threads", "1"]


def start(out: int, said: list[str]) -> BaseProcess:
    """The same command in a fork of this process, which has torch imported; `out` becomes its stdout."""

    def child() -> None:
        os.dup2(out, 1)
        os.dup2(os.open("stderr", os.O_WRONLY | os.O_CREAT), 2)
        sys.stdout, sys.stderr = (os.fdopen(stream, "w", encoding="utf-8") for stream in (1, 2))
        os.environ |= {"TERM": "xterm", "COLUMNS": "80"}
        main(said)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    os.close(out)
    return process


def test_a_reader_that_goes_away_does_not_end_a_training(cached):
    command = [sys.executable, "-m", "distill", *words("piped")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout is not None
        assert training.stderr is not None
        assert "2 epochs of 4 steps" in training.stdout.readline()
        training.stdout.close()
        said = training.stderr.read()
    assert training.returncode == 0
    assert said == ""
    assert Path("runs/piped/student.safetensors").exists()


def test_lines_on_a_pipe_come_early_and_fit_80_columns(paired):
    ours, theirs = os.pipe()
    training = start(theirs, words("piped", evaluate=SETS, train=EVALUATED))
    with open(ours, encoding="utf-8") as pipe:
        said = pipe.read()
    training.join()
    told = Path("stderr").read_text()
    assert training.exitcode == 0, told
    lines = said.splitlines()
    assert max(map(len, lines)) < 80, said
    assert "\r" not in said
    steps = [line.partition(",")[0] for line in lines if line.startswith("step ")]
    assert steps == ["step 1/8", "step 2/8", "step 4/8", "step 5/8", "step 8/8"]
    first = next(line for line in lines if line.startswith("step "))
    places = [first.index(word) for word in ("step 1/8, loss ", " faces/s, ", " left, epoch 1/2")]
    assert places == sorted(places)
    assert sum(line.startswith("evaluation at step") for line in lines) == 2
    assert "evaluating on pairs: 40 of 40 faces" in told


def test_a_terminal_has_one_live_line_and_keeps_the_ends_of_epochs(paired):
    ours, theirs = pty.openpty()
    training = start(theirs, words("live", evaluate=SETS, train=EVALUATED))
    said = b""
    try:
        while some := os.read(ours, 1 << 16):
            said += some
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    training.join()
    assert training.exitcode == 0
    text = said.decode()
    # What stays: of every line that was written over, the last state.
    screen = [line.split("\r\x1b[K")[-1].strip("\r") for line in text.split("\n")]
    assert [line.partition(",")[0] for line in screen if line.startswith("step ")] == ["step 4/8", "step 8/8"]
    assert "\r\x1b[Kstep 1/8, loss " in text
    assert max(len(state) for line in text.split("\n") for state in line.strip("\r").split("\r\x1b[K")) < 80


def test_lines_follow_1_2_5_10_and_then_every_log_every():
    shown = [step for step in range(1, 301) if line_due(step, step, 1000, 50)]
    assert shown == [1, 2, 5, 10, 20, 50, 100, 150, 200, 250, 300]
    # In later epochs only the rule remains: multiples of log_every within the epoch, and its end.
    assert [n for n in range(1, 121) if line_due(1000 + n, n, 120, 50)] == [50, 100, 120]
