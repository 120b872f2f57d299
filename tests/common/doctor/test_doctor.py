"""What the doctor says of machines that are made up, and what it reads of this one."""

import sys
from dataclasses import replace
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from common.doctor import __main__ as program
from common.doctor.found import Card, Found, Library, ask_cards, library, look
from common.doctor.judge import SHARED_MEMORY, problems
from common.doctor.limits import Limits, cgroup_cores, cgroup_memory
from common.doctor.lines import report

H100 = Card("NVIDIA H100 80GB HBM3", (9, 0), 81559)
LIMITS = Limits(16, 16, None, 128 << 30, None, 64 << 30, 65_536, 1 << 20, 65_530, "/work", 1 << 40)
GPUS = Found(
    python="3.11.7",
    system="Linux",
    libraries={
        "torch": Library("2.13.0+cu130", facts={"cuda": "13.0", "cards": 4, "oldest": (7, 5)}),
        "faiss": Library("1.15.1", facts={"gpus": 4}),
        "onnxruntime": Library("1.31.1", facts={"providers": ("CUDAExecutionProvider", "CPUExecutionProvider")}),
        "cv2": Library("5.0.0"),
        "simplejpeg": Library("1.9.0"),
    },
    distributions={"faiss-gpu": "1.15.1", "onnxruntime-gpu": "1.31.1", "opencv-python-headless": "5.0.0.93"},
    driver="580.65.06",
    cards=(H100,) * 4,
    visible=None,
    limits=LIMITS,
)
CPU = replace(
    GPUS,
    libraries={
        **GPUS.libraries,
        "torch": Library("2.13.0+cpu", facts={"cuda": None, "cards": 0, "oldest": None}),
        "faiss": Library("1.15.1", facts={"gpus": 0}),
        "onnxruntime": Library("1.31.1", facts={"providers": ("CPUExecutionProvider",)}),
    },
    distributions={"faiss-cpu": "1.15.1", "onnxruntime": "1.31.1", "opencv-python-headless": "5.0.0.93"},
    driver=None,
    cards=(),
)


def with_library(found: Found, name: str, **facts: object) -> Found:
    there = found.libraries[name]
    return replace(found, libraries={**found.libraries, name: replace(there, facts={**there.facts, **facts})})


def with_limits(found: Found, **limits: object) -> Found:
    return replace(found, limits=replace(found.limits, **limits))


BOTH = {**GPUS.distributions, "faiss-cpu": "1.15.1", "onnxruntime": "1.31.1"}
WRONG = {
    "old driver": (
        replace(GPUS, driver="550.54.15"),
        ["driver 550.54.15 is too old for torch's CUDA 13.0: install 580"],
    ),
    "Volta": (
        replace(GPUS, cards=(Card("Tesla V100", (7, 0), 16384),) * 2),
        ["Tesla V100 is sm_70, and torch 2.13.0+cu130 has code from sm_75 on"],
    ),
    "CPU torch beside a card": (
        replace(CPU, driver="580.65.06", cards=(H100,)),
        ["torch 2.13.0+cpu is built without CUDA, and the driver shows 1 card(s): make doctor GPUS=1"],
    ),
    "no card for torch": (with_library(GPUS, "torch", cards=0), ["torch sees none of 4 card(s): hand /dev/nvidia*"]),
    "hidden cards": (
        replace(with_library(GPUS, "torch", cards=0), visible=""),
        ["CUDA_VISIBLE_DEVICES= hides all 4 card(s): unset it"],
    ),
    "CPU packages on a GPU machine": (
        replace(GPUS, libraries={**CPU.libraries, "torch": GPUS.libraries["torch"]}, distributions=CPU.distributions),
        ["FAISS 1.15.1 searches on the CPU: make doctor GPUS=1", "onnxruntime 1.31.1 cannot use a card"],
    ),
    "a FAISS that sees no card": (
        with_library(GPUS, "faiss", gpus=0),
        ["FAISS 1.15.1 does not see a card that torch uses: reinstall"],
    ),
    "both of each": (
        replace(GPUS, distributions=BOTH),
        [
            "faiss-cpu 1.15.1 and faiss-gpu 1.15.1 bring the same files, and overwrite each other: .venv/bin/pip "
            "uninstall faiss-cpu faiss-gpu, then rm .venv/.installed-*, then make doctor",
            "onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1 bring the same files",
        ],
    ),
    "FAISS of CUDA 12 beside the lock": (
        replace(CPU, distributions={**CPU.distributions, "faiss-gpu-cu12": "1.14.1"}),
        ["faiss-cpu 1.15.1 and faiss-gpu-cu12 1.14.1 bring the same files"],
    ),
    "a library that does not load": (
        replace(CPU, libraries={**CPU.libraries, "faiss": Library(error="no _swigfaiss")}),
        ["faiss cannot be imported (no _swigfaiss): rm .venv/.installed-*"],
    ),
    "Docker's shared memory": (
        with_limits(GPUS, shared_memory=64 << 20),
        ["/dev/shm has 64 MiB, and NCCL, by which 4 cards train together, may need 1,024: docker run --shm-size=1g"],
    ),
    "a container's cores": (
        with_limits(GPUS, cores_quota=8.0),
        ["the cgroup grants 8 of 16 cores, and a command starts threads for all of them: say THREADS=2"],
    ),
    "open files": (with_limits(CPU, open_files=256), ["256 open files are too few", "ulimit -n 65536"]),
    "open files for good": (with_limits(CPU, open_files=256, open_files_most=512), ["raise the hard limit"]),
    "maps": (with_limits(CPU, maps=10_000), ["vm.max_map_count is 10,000", "sysctl vm.max_map_count=65530"]),
    "disk": (with_limits(CPU, disk_free=100 << 20), ["/work has 100 MiB free"]),
}


@pytest.mark.parametrize(
    "found",
    [
        CPU,
        GPUS,
        replace(CPU, libraries={**CPU.libraries, "torch": GPUS.libraries["torch"]}),
        with_limits(CPU, shared_memory=64 << 20),
        with_limits(GPUS, shared_memory=SHARED_MEMORY),
    ],
)
def test_nothing_is_wrong_with_machines_as_they_should_be(found):
    """The third: torch's CUDA build on a machine without a card, as PyPI serves it. The fourth: Docker without one."""
    if not found.cards:
        found = with_library(found, "torch", cards=0)
    assert problems(found) == []
    assert report(found).endswith("\nnothing is wrong")


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_what_to_do_within_80_columns(name):
    found, parts = WRONG[name]
    said = problems(found)
    for part in parts:
        assert any(part in line for line in said), said
    assert len(said) in (1, len(parts)), "nothing else"
    assert all(": " in line for line in said)
    text = report(found)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("wrong: ") == len(said)


def test_the_report_names_what_every_part_is_and_sees():
    text = report(with_limits(GPUS, cores_quota=16.0, memory_quota=32 << 30, maps=None, shared_memory=None))
    for line in (
        "python         3.11.7",
        "torch          2.13.0+cu130, CUDA 13.0 (driver 580 or newer), sees 4 cards",
        "driver         580.65.06",
        "cards          4 x NVIDIA H100 80GB HBM3, sm_90, 80 GiB",
        "FAISS          1.15.1 (faiss-gpu), 4 GPUs",
        "onnxruntime    1.31.1 (onnxruntime-gpu), providers CUDA, CPU",
        "decoders       OpenCV 5.0.0, simplejpeg 1.9.0",
        "cores          16 of 16, the cgroup grants 16",
        "memory         128.0 GiB, the cgroup grants 32.0 GiB",
        "/dev/shm       unknown",
        "open files     65,536, may be raised to 1,048,576",
        "disk           1,024.0 GiB free in /work",
    ):
        assert line in text.splitlines()
    assert "tested are 3.11 and 3.13" in report(replace(CPU, python="3.14.0"))


def test_this_machine_is_looked_at_and_the_exit_status_says_whether_all_is_well(monkeypatch):
    found = look()
    assert found.libraries["torch"].version.startswith(version("torch"))
    assert not {name: there.error for name, there in found.libraries.items() if there.error}
    assert found.limits.cores >= found.limits.cores_allowed >= 1
    for machine, status in ((CPU, 0), (WRONG["old driver"][0], 1)):
        monkeypatch.setattr("common.doctor.found.look", lambda machine=machine: machine)
        done = CliRunner().invoke(program.main, [])
        assert (done.exit_code, done.output) == (status, report(machine) + "\n")


def test_a_library_that_fails_in_any_way_is_reported_and_not_raised(monkeypatch):
    def fail(module):
        raise RuntimeError("CUDA driver is\na riddle")

    assert library("json", fail).error == "CUDA driver is"
    monkeypatch.setitem(sys.modules, "nothing_here", None)
    assert "nothing_here" in library("nothing_here", fail).error


def test_cards_are_read_from_what_the_driver_lists(tmp_path):
    row = "NVIDIA H100 80GB HBM3, 9.0, 81559, 580.65.06"
    assert ask_cards(["printf", f"{row}\n{row}\n"]) == ("580.65.06", (H100, H100))
    assert ask_cards(["sh", "-c", "echo NVIDIA-SMI has failed, it, says, so; exit 9"]) == (None, ())
    assert ask_cards(["sh", "-c", "echo No devices were found"]) == (None, ())
    assert ask_cards([str(tmp_path / "nothing")]) == (None, ())


def test_a_containers_limits_are_the_least_of_its_cgroups_of_either_version(tmp_path):
    proc, mount = tmp_path / "cgroup", tmp_path / "mount"
    own = mount / "pods/one"
    own.mkdir(parents=True)
    proc.write_text("0::/pods/one\n")
    assert (cgroup_cores(proc, mount), cgroup_memory(proc, mount)) == (None, None)
    (own / "cpu.max").write_text("max 100000\n")
    (own / "memory.max").write_text("max\n")
    assert (cgroup_cores(proc, mount), cgroup_memory(proc, mount)) == (None, None)
    (mount / "pods/cpu.max").write_text("250000 100000\n")
    (mount / "memory.max").write_text("1073741824\n")
    assert (cgroup_cores(proc, mount), cgroup_memory(proc, mount)) == (2.5, 1 << 30)
    (own / "cpu.max").write_text("150000 100000\n")
    assert cgroup_cores(proc, mount) == 1.5

    old = mount / "cpu,cpuacct"
    old.mkdir()
    proc.write_text("4:memory:/\n3:cpu,cpuacct:/docker/not-mounted-here\n")
    (old / "cpu.cfs_quota_us").write_text("-1\n")
    (old / "cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_cores(proc, mount) is None
    (old / "cpu.cfs_quota_us").write_text("400000\n")
    assert cgroup_cores(proc, mount) == 4
    (mount / "memory").mkdir()
    (mount / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroup_memory(proc, mount) is None
    (mount / "memory/memory.limit_in_bytes").write_text("2147483648\n")
    assert cgroup_memory(proc, mount) == 2 << 30
