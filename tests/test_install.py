"""Which lock file an environment is made from, how it is exchanged, and how the two are written.

A program stands in for pip: it keeps the names of what is installed, and of what it was told, in files.
"""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAME_FILES = ({"faiss-cpu", "faiss-gpu"}, {"onnxruntime", "onnxruntime-gpu"})
PIP = r"""#!/bin/bash
[ "$1 $2" = "-m pip" ] || exit 0
shift 2
while [[ "$1" == --* ]]; do shift; done
touch packages
case "$1" in
  show) found=1
    for name in "${@:2}"; do
      grep "^$name=" packages | sed 's/.*=/Version: /' | grep . && found=0
    done
    exit $found ;;
  uninstall) for name in "${@:3}"; do sed -i "/^$name=/d" packages; done ;;
  install) [ "$2" = -r ] || exit 0
    while IFS== read -r name _ version; do
      grep -q "^$name=" packages || echo "$name=$version" >> packages
    done < <(grep == "$3") ;;
esac
echo "$*" >> told
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Runs make beside that pip; returns what pip was told that changes something, and what is installed then."""
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")
    for name in ("GPUS", "PROCS", "NODES", "NODE", "THREADS", "MAKEFLAGS", "MAKELEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("Makefile", "requirements.lock", "requirements-gpu.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    write_program(tmp_path / ".venv/bin/python", PIP)

    def run(*words: str) -> tuple[list[str], set[str]]:
        (tmp_path / "told").unlink(missing_ok=True)
        subprocess.run(["make", *words], cwd=tmp_path, check=True, capture_output=True, timeout=60)
        told = (tmp_path / "told").read_text().splitlines() if (tmp_path / "told").exists() else []
        return told, {line.split("=")[0] for line in (tmp_path / "packages").read_text().splitlines()}

    run.folder = tmp_path
    return run


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def pinned(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_an_environment_is_made_from_the_lock_of_its_machine_and_once(make):
    for lock, gpus in {"requirements.lock": "0", "requirements-gpu.lock": "4"}.items():
        shutil.rmtree(make.folder / ".venv")
        (make.folder / "packages").unlink(missing_ok=True)
        write_program(make.folder / ".venv/bin/python", PIP)
        told, installed = make("doctor", f"GPUS={gpus}")
        assert told == [f"install -r {lock}"]
        assert installed == set(pinned(lock))
        assert make("doctor", f"GPUS={gpus}")[0] == []


@pytest.mark.parametrize("left_by_hand", [False, True])
def test_whatever_shares_files_leaves_before_the_other_kind_comes(make, left_by_hand):
    """Else pip would remove, with the package that goes, files that the new one has just written."""
    _, installed = make("doctor", "GPUS=0")
    if left_by_hand:
        with (make.folder / "packages").open("a") as packages:
            packages.write("faiss-gpu=1.14.1\n")
    for words, kind in ((["doctor", "GPUS=1"], "gpu"), ([".venv/.installed-cpu"], "cpu")):
        told, installed = make(*words)
        removed, install = [line for line in told if not line.endswith(" torch")]
        assert removed.startswith("uninstall --yes")
        assert set.union(*SAME_FILES) <= set(removed.split())
        assert install.startswith("install -r")
        assert [installed & pair for pair in SAME_FILES] == [
            {name for name in pair if (name in ("faiss-cpu", "onnxruntime")) == (kind == "cpu")} for pair in SAME_FILES
        ]
        assert [path.name for path in (make.folder / ".venv").glob(".inst*")] == [f".installed-{kind}"]


def test_an_environment_for_gpus_serves_the_cpu_as_well(make):
    make("doctor", "GPUS=1")
    told, installed = make("doctor", "GPUS=0")
    assert told == []
    assert {"faiss-gpu", "onnxruntime-gpu"} <= installed


def test_a_cpu_build_of_torch_leaves_for_a_cuda_build_of_the_same_version(make):
    (make.folder / "packages").write_text(f"torch={pinned('requirements.lock')['torch']}+cpu\n")
    told, _ = make("doctor", "GPUS=1")
    assert told[0] == "uninstall --yes torch"
    assert make("doctor", "GPUS=1")[0] == []


@pytest.mark.parametrize(("cards", "lock"), [("GPU 0: NVIDIA H100 (UUID: GPU-1)", "-gpu"), ("", "")])
def test_the_machine_is_asked_for_its_cards_once_a_command(make, monkeypatch, cards, lock):
    asked = make.folder / "asked"
    write_program(make.folder / "programs/nvidia-smi", f"#!/bin/sh\necho asked >> '{asked}'\necho '{cards}'\n")
    monkeypatch.setenv("PATH", f"{make.folder / 'programs'}{os.pathsep}{os.environ['PATH']}")
    assert make("distill")[0] == [f"install -r requirements{lock}.lock"]
    assert asked.read_text().count("asked") == 1


def test_both_locks_pin_the_same_but_for_what_a_card_needs():
    cpu, gpu = pinned("requirements.lock"), pinned("requirements-gpu.lock")
    exchanged = {"faiss-cpu": "faiss-gpu", "onnxruntime": "onnxruntime-gpu"}
    assert {exchanged.get(name, name): version for name, version in cpu.items()}.items() <= gpu.items()
    more = set(gpu) - set(cpu) - set(exchanged.values())
    assert {name.partition("-")[0] for name in more} == {"nvidia", "cuda", "triton"}
    assert not set(exchanged) & set(gpu)
    assert "nvidia-nccl-cu13" in more, "torch's CUDA build"


@pytest.fixture
def locks():
    """The program that writes the locks."""
    spec = importlib.util.spec_from_file_location("locks", ROOT / ".ci/locks.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-gpu.lock"])
def test_a_lock_stands_as_the_program_would_write_it(locks, name):
    path = ROOT / name
    assert path.read_text() == locks.lock_text(pinned(name), locks.head_of(path))


def test_the_lock_for_gpus_is_resolved_from_the_pins_of_the_other(locks, monkeypatch, tmp_path):
    cpu = {"torch": "2.13.0", "faiss-cpu": "1.15.1", "onnxruntime": "1.31.1", "numpy": "2.4.6"}
    with_cuda = {**cpu, "torch": "2.13.0+cpu", "nvidia-nccl-cu13": "2.29.7", "triton": "3.7.1", "cuda-toolkit": "13.0"}
    assert locks.without_cuda(with_cuda) == cpu
    for_gpu = ["torch==2.13.0", "faiss-gpu==1.15.1", "onnxruntime-gpu==1.31.1", "numpy==2.4.6"]
    for_cards = {"faiss-gpu": "1.15.1", "onnxruntime-gpu": "1.31.1", "numpy": "2.4.6"}
    answers, asked = iter([for_cards, with_cuda, {**with_cuda, "torch": "2.13.0"}]), []
    monkeypatch.setattr(locks, "resolved", lambda requirements: asked.append(requirements) or next(answers))
    for name in ("CPU", "GPU"):
        monkeypatch.setattr(locks, name, tmp_path / name)
        (tmp_path / name).write_text("# a head\nold==1\n")
    locks.main()
    assert asked[1][-2:] == ["faiss-cpu<=1.15.1", "onnxruntime<=1.31.1"], "no newer than its namesake"
    assert asked[2] == for_gpu
    assert (tmp_path / "CPU").read_text() == "# a head\n" + "".join(
        f"{name}=={cpu[name]}\n" for name in ("faiss-cpu", "numpy", "onnxruntime", "torch")
    )
    assert "triton==3.7.1\n" in (tmp_path / "GPU").read_text()
