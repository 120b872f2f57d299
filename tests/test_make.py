"""What make's variables become: the arguments a command gets, seen by a program that stands in for python."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from common.errors import ConfigError
from common.faces import encode_jpeg, open_source
from common.runtime import choose_device
from photos.__main__ import main as photos
from photos.pool import Pool
from photos.transform import template

ROOT = Path(__file__).parents[1]
STAND_IN = """#!/bin/sh
echo begin >> log
printf '%s\\0' "$@" >> arguments
printf '\\n' >> arguments
sleep 0.2
echo end >> log
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Runs make where bin/python writes its arguments down; returns exit status, error output and those arguments."""
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    for name in (
        "CONFIG",
        "DATA",
        "SET",
        "GPUS",
        "PROCS",
        "OUT",
        "CHECK",
        "SEEDS",
        "SLOTS",
        "BUILD",
        "FORMAT",
        "ROWS",
        "THREADS",
        "NODES",
        "NODE",
        "MASTER",
        "MAKEFLAGS",
        "MAKELEVEL",  # a make below another one says which folder it enters
    ):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "requirements-gpu.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(STAND_IN)
    (tmp_path / ".venv/bin/python").chmod(0o755)
    for kind in ("cpu", "gpu"):
        (tmp_path / f".venv/.installed-{kind}").touch()

    def run(*words: str) -> tuple[int, str, list[list[str]]]:
        (tmp_path / "arguments").unlink(missing_ok=True)
        done = subprocess.run(["make", *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        lines = (tmp_path / "arguments").read_text().splitlines() if (tmp_path / "arguments").exists() else []
        return done.returncode, done.stderr, [line.split("\0")[:-1] for line in lines]

    run.folder = tmp_path
    return run


@pytest.mark.parametrize("text", ["my data", 'it\'s $$HOME; `id` "x" *', "a  b\\"])
def test_values_reach_the_command_as_they_were_written(make, text):
    seen = text.replace("$$", "$")
    status, _, [arguments] = make("cache-teacher", "GPUS=0", f"CONFIG={text}.toml", f"DATA={text}", f"SET={text}")
    assert status == 0
    wanted = ["-m", "cache", "build", "--config", f"{seen}.toml", "--device", "cpu", "--data", seen, "--sets", seen]
    assert arguments == wanted
    for target in ("distill", "audit"):
        [arguments] = make(target, "GPUS=0", f"CONFIG={text}.toml", f"DATA={text}", f"SET={text}")[2]
        assert {f"{seen}.toml", seen} <= set(arguments)


def test_several_configs_make_one_table_and_a_file_with_spaces_is_one(make):
    (make.folder / "my config.toml").touch()
    for given, configs in {"a.toml b.toml": ["a.toml", "b.toml"], "my config.toml": ["my config.toml"]}.items():
        [arguments] = make("eval", "GPUS=0", f"CONFIG={given}", "OUT=my report")[2]
        told = [argument for name in configs for argument in ("--config", name)]
        assert arguments[:-2] == ["-m", "evaluate", "run", *told, "--device", "cpu", "--out", "my report"]


def test_an_audit_honours_check_and_is_named_by_the_experiment(make):
    [arguments] = make("audit", "GPUS=0", "CONFIG=my config.toml", "CHECK=1")[2]
    assert arguments == ["-m", "cache", "audit", "--config", "my config.toml", "--data", "data", "--check"]


def test_an_ablation_gets_its_slots_and_check_is_its_plan(make):
    told = ["--config", "a b.toml", "--device", "cpu", "--slots"]
    (run,) = make("ablate", "CONFIG=a b.toml", "SLOTS=2", "GPUS=0", "THREADS=3")[2]
    assert run == ["-m", "ablate", "run", *told, "2", "--data", "data", "--threads", "3"]
    (plan,) = make("ablate", "CONFIG=a b.toml", "CHECK=1", "BUILD=1", "GPUS=0", "SET=a.b='x y'")[2]
    assert plan == ["-m", "ablate", "plan", *told, "1", "--build", "--data", "data", "--sets", "a.b='x y'"]
    (on_cards,) = make("ablate", "CONFIG=a.toml", "GPUS=4")[2]
    assert on_cards[on_cards.index("--slots") + 1] == "4", "one a card"
    (report,) = make("report", "CONFIG=a.toml", "FORMAT=md csv", "OUT=my page", "GPUS=0")[2]
    assert report[3:] == [
        *["--config", "a.toml", "--data", "data", "--out"],
        "my page",
        *["--format", "md", "--format", "csv"],
    ]


def test_an_export_gets_its_formats_and_honours_check(make):
    [arguments] = make("export", "GPUS=0", "CONFIG=a b.toml", "FORMATS=onnx int8", "OUT=my out", "CHECK=1")[2]
    told = ["--config", "a b.toml", "--formats", "onnx int8", "--out", "my out", "--data", "data", "--check"]
    assert arguments == ["-m", "export", "run", *told]


def test_photos_become_aligned_faces_beside_the_training_set(make, monkeypatch):
    (make.folder / "my photos/Ann").mkdir(parents=True)
    (make.folder / "my photos/Ann/1.jpg").write_bytes(encode_jpeg(np.full((150, 150, 3), 90, np.uint8)))
    points = " ".join(map(str, (template((112, 96)) + 20).ravel()))
    (make.folder / "given.txt").write_text(f"Ann/1.jpg {points}\n")
    words = ("IN=my photos", "OUT=data/mine", "DETECTOR=none", "LANDMARKS=given.txt", "SIZE=112x96")
    status, _, commands = make("photos", "GPUS=0", *words)
    assert status == 0
    monkeypatch.chdir(make.folder)
    monkeypatch.setattr(Pool, "run", lambda self, tasks: ((task, self._work(task)) for task in tasks))
    for _, program, *arguments in commands:
        assert program == "photos"
        result = CliRunner().invoke(photos, arguments)
        assert result.exit_code == 0, result.output
    assert open_source(Path("data/mine")).rgb(0).shape == (112, 96, 3)
    assert Path("data/mine-aligned/Ann/1.png").exists()
    assert make("photos", "GPUS=0", "IN=my photos")[0] == 2


def test_several_machines_meet_where_the_first_one_is(make):
    told = ["--nnodes=2", "--node_rank=1", "--rdzv_backend=static", "--rdzv_endpoint=first:29500"]
    [arguments] = make("distill", "GPUS=4", "NODES=2", "NODE=1", "MASTER=first:29500", "THREADS=3")[2]
    assert arguments[: len(told) + 5] == ["-m", "common.launch", *told, "--nproc_per_node=4", "-m", "distill"]
    assert arguments[-2:] == ["--threads", "3"]


def test_the_gpu_check_gets_rows_and_folder_as_they_were_written(make):
    [arguments] = make("gpu-check", "GPUS=0", "ROWS=heads stops", "OUT=my check")[2]
    told = ["--device", "cpu", "--rows", "heads stops", "--out", "my check"]
    assert arguments == ["-m", "benchmarks.gpu", *told]
    assert make("gpu-check", "GPUS=4")[2] == [["-m", "benchmarks.gpu", "--device", "cuda"]]


def test_the_list_of_targets_fits_80_columns_and_says_that_a_run_has_an_experiment_file(make):
    done = subprocess.run(["make", "help"], cwd=make.folder, capture_output=True, text=True, check=True)
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert "CONFIG=runs/NAME/config.toml" in done.stdout


@pytest.mark.parametrize(
    ("given", "launched", "device"),
    [
        (["GPUS=0"], [], "cpu"),
        (["GPUS=1"], [], "cuda"),
        (["GPUS=4"], ["common.launch", "--standalone", "--nproc_per_node=4", "-m"], "cuda"),
        (["GPUS=0", "PROCS=2"], ["common.launch", "--standalone", "--nproc_per_node=2", "-m"], "cpu"),
        (["GPUS=10"], ["common.launch", "--standalone", "--nproc_per_node=10", "-m"], "cuda"),
    ],
)
def test_ranks_and_device(make, given, launched, device):
    [arguments] = make("distill", *given)[2]
    assert arguments[: len(launched) + 3] == ["-m", *launched, "distill", "train"]
    assert arguments[arguments.index("--device") + 1] == device


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("PROCS=0", "PROCS=0: write a whole number, 1 or more"),
        ("PROCS=abc", "PROCS=abc: write a whole number, 1 or more"),
        ("PROCS=", "PROCS=: write a whole number, 1 or more"),
        ("PROCS=-1", "PROCS=-1: write a whole number"),
        ("PROCS=01", "PROCS=01: write a whole number"),
        ("THREADS=0", "THREADS=0: write a whole number, 1 or more"),
        ("NODES=two", "NODES=two NODE=0: write how many machines"),
        ("NODES=2", "NODES=2: MASTER=HOST:PORT says where the first machine is"),
        ("GPUS=", "GPUS=: write a whole number"),
        ("GPUS=00", "GPUS=00: write a whole number"),
        ("GPUS=two", "GPUS=two: write a whole number, 0 for the CPU"),
        ("GPUS=2 PROCS=2", "PROCS=2 ranks are for the CPU: add GPUS=0"),
    ],
)
def test_what_is_no_number_of_ranks_is_refused_before_anything_runs(make, given, line):
    status, error, ran = make("distill", *given.split())
    assert (status, ran) == (2, [])
    assert line in error
    assert error.count("\n") == 1


def test_stages_follow_each_other_with_j2_as_well(make):
    make("-j2", "cache-teacher", "distill", "GPUS=0")
    assert (make.folder / "log").read_text().split() == ["begin", "end", "begin", "end"]


def test_more_ranks_than_cards_are_refused_with_the_number_there_is(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no CUDA device; use --device cpu"):
        choose_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("cuda").index == 1
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "0")  # as CHECK=1 says it, which the first rank prints
    with pytest.raises(ConfigError, match=r"4 ranks, but torch sees 1 CUDA device\(s\); use GPUS=1"):
        choose_device("cuda")
