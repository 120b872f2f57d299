"""Readers that go away, logs on full disks, streams that are closed: with a real process and a real shell each."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.world import copied

ROOT = Path(__file__).parents[2]
FULL = "standard output: No space left on device: make room"

TABLE = [
    ("cache info --config tiny.toml | head -1", 0, ""),
    ("cache info --config tiny.toml >&-", 0, ""),
    ("cache info --config tiny.toml >/dev/full", 2, FULL),
    ("cache --help >/dev/full", 2, FULL),
    ("cache info --config none.toml >&- 2>&-", 2, ""),
    ("distill train --config tiny.toml --threads 1 --set name=second --set cache.path=caches/tiny | head -1", 0, ""),
    ("evaluate compare runs/tiny/evaluation >/dev/full", 2, FULL),
]
QUICK = {"cache --help >/dev/full"}


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    ("command", "status", "sees"),
    [pytest.param(*row, marks=[] if row[0] in QUICK else [pytest.mark.slow], id=row[0]) for row in TABLE],
)
def test_a_command_ends_well_whoever_reads_it(template, tmp_path, command, status, sees, buffered):
    folder = copied(template, tmp_path / "world")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["PYTHONUNBUFFERED"] = "" if buffered else "1"
    shell = ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m {command}"]
    ended = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    assert sees in ended.stderr
    if "second" in command:
        assert (folder / "runs/second/student.safetensors").exists()  # the reader went, the training did not
