"""Tasks of a cluster's queue make the cache that one build makes, and its ledger alone says what is finished."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cache.__main__ import main
from cache.build import build
from cache.cluster import units_of_task
from cache.format import finished_units, layout_of, read_manifest
from common.config.file import toml_of
from common.faces.sources import open_source
from tests.faults.world import make_world
from tests.tiny import TinyTeacher, experiment, tree

pytest.importorskip("datatrove", reason="datatrove is not installed (extra `cluster`)")

ROOT = Path(__file__).parents[2]
CACHE = Path("caches/tiny")
# What stands for SLURM: sbatch runs every task of the array at once, one after another; srun what it is given.
SBATCH = """#!/bin/sh
for last; do :; done
cp "$last" job.$$
for task in $(seq $(sed -n 's/^#SBATCH --array=\\([0-9]*\\)-\\([0-9]*\\).*/\\1 \\2/p' job.$$)); do
  SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=here sh job.$$ >> job.log 2>&1 || echo "task $task failed" >> job.log
done
echo Submitted batch job 1
"""


@pytest.fixture
def typed(world, monkeypatch):
    """`python -m cache cluster --config tiny.toml ...` in this process, with the tiny teacher."""
    (world / "tiny.toml").write_text(toml_of(experiment()))
    monkeypatch.setattr("cache.teachers.open_teacher", lambda *_: TinyTeacher())
    monkeypatch.setattr("common.runtime.set_threads", lambda threads, ranks: 1)
    return lambda *words: CliRunner().invoke(main, ["cluster", "--config", "tiny.toml", *words])


@pytest.mark.parametrize(("tasks", "units"), [(1, 10), (3, 10), (10, 10), (16, 10), (7, 2900)])
def test_tasks_share_all_units_in_ranges_of_nearly_one_length(tasks, units):
    parts = [units_of_task(task, tasks, units) for task in range(tasks)]
    assert np.concatenate([np.arange(units)[part] for part in parts]).tolist() == list(range(units))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_tasks_make_the_bytes_of_one_build_again_and_again_whatever_the_engine_believes_is_done(typed):
    whole = tree(build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))
    for _ in range(2):
        shutil.rmtree(CACHE)
        told = typed("--tasks", "3")
        assert told.exit_code == 0, told.output
        assert tree(CACHE) == whole


def test_a_task_that_fails_leaves_its_units_to_the_same_command(typed, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("cache.teachers.open_teacher", lambda *_: TinyTeacher(fail_after=8))
        assert typed("--tasks", "2").exit_code != 0
    assert 0 < len(finished_units(CACHE, layout_of(read_manifest(CACHE)))) < 10
    assert typed("--tasks", "2").exit_code == 0
    assert read_manifest(CACHE)["sealed"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "partition=gpu"], "-o partition=gpu: local takes NAME=VALUE with one of workers, start_method, "),
        (["-o", "workers"], "-o workers: local takes NAME=VALUE"),
        (["-o", "tasks=3"], "-o tasks=3: local takes"),
        (["--executor", "slurm"], "--executor slurm: needs -o time=..., -o partition=..."),
    ],
)
def test_what_an_executor_does_not_take_is_refused_before_anything_is_opened(typed, words, said):
    told = typed(*words)
    assert (told.exit_code, told.output.count("\n")) == (2, 1)
    assert said in told.output
    assert not CACHE.parent.exists()


def test_workers_that_would_share_one_card_are_refused(typed, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    told = typed("--tasks", "4", "-o", "workers=4")
    assert told.exit_code == 2
    assert "python -m common.processes 4 -m cache build" in told.output


def test_an_engine_that_is_not_installed_is_named(typed):
    if importlib.util.find_spec("ray"):
        pytest.skip("ray is installed")
    told = typed("--executor", "ray")
    assert (told.exit_code, told.output.count("\n")) == (2, 1)
    assert "pip install ray" in told.output


def run_cluster(folder: Path, *words: str, **environment: str) -> None:
    command = [sys.executable, "-m", "cache", "cluster", "--config", "tiny.toml", "--device", "cpu", "--threads", "1"]
    found = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([*command, *words], cwd=folder, env=found, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "slurm"])
def test_processes_and_a_queue_make_the_bytes_of_one_build(tmp_path, where):
    make_world(tmp_path)  # builds the cache with one process
    cache = tmp_path / "caches" / "tiny"
    whole = {name: digest for name, digest in tree(cache).items() if name != "zarr.json"}
    shutil.rmtree(cache)
    if where == "local":
        run_cluster(tmp_path, "--tasks", "4", "-o", "workers=2")
    else:
        shims = tmp_path / "shims"
        shims.mkdir()
        for name, script in {"sbatch": SBATCH, "scontrol": "#!/bin/sh\necho here\n"}.items():
            (shims / name).write_text(script)
            (shims / name).chmod(0o755)
        path = f"{shims}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        options = ("time=1:00:00", "partition=cpu", "with_srun=0")
        run_cluster(
            tmp_path, "--executor", "slurm", "--tasks", "3", *(w for o in options for w in ("-o", o)), PATH=path
        )
        assert "failed" not in (tmp_path / "job.log").read_text(), (tmp_path / "job.log").read_text()
    assert {name: digest for name, digest in tree(cache).items() if name != "zarr.json"} == whole
