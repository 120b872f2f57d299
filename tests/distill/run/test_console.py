"""A training whose output nobody reads any more goes on to its end."""

import os
import subprocess
import sys
from pathlib import Path

from common.config.file import toml_of
from tests.tiny import experiment

ROOT = Path(__file__).parents[3]


def test_a_reader_that_goes_away_does_not_end_a_training(cached):
    Path("piped.toml").write_text(toml_of(experiment(name="piped", cache={"path": "caches/tiny"})))
    command = [sys.executable, "-m", "distill", "train", "--config", "piped.toml", "--device", "cpu", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as training:
        assert training.stdout is not None
        assert training.stderr is not None
        assert "2 epochs of 4 steps" in training.stdout.readline()
        training.stdout.close()
        said = training.stderr.read()
    assert training.returncode == 0
    assert said == ""
    assert Path("runs/piped/student.safetensors").exists()
