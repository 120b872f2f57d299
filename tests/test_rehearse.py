"""The rehearsal of a big data set, with a few hundred faces: what it would say of a million it says of these."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_small_rehearsal_kills_goes_on_and_prints_every_phase_with_its_memory(tmp_path):
    options = ["--images", "400", "--people", "40", "--steps", "20", "--processes", "1,2", "--work", f"{tmp_path}"]
    done = subprocess.run(
        [sys.executable, "benchmarks/rehearse.py", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    killed = {name: int(number) for name, number, *_ in rows}
    assert killed["stage one, 1 process(es)"] + killed["stage one, 2 process(es)"] > 0
    assert killed["stage two, on to step 10"] == 1
    assert all(float(memory.replace(",", "")) > 100 for name, *_, memory in rows if name != "writing the faces")
    assert not any(tmp_path.iterdir())
