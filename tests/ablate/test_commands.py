"""What the commands of ablate print, and how slots share a machine."""

import os
import shlex

import pytest
from click.testing import CliRunner

from ablate.__main__ import main
from ablate.machine import Machine, OwnPrograms
from ablate.results import collect
from ablate.run import run_ablation
from tests.ablate.conftest import CPU, FakePrograms
from tests.ablate.test_run import DATA, MARGINS


def invoke(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, [*words, "--config", "study.toml", "--data", "data"])
    assert result.exit_code == code, result.output
    return result.output


def test_commands_prints_one_command_a_run_that_does_that_run(written):
    path = written(MARGINS)
    lines = invoke("commands", "--set", "train.epochs=3", "--ranks", "2").splitlines()
    assert lines == list(collect(path, DATA, ["train.epochs=3"], ranks=2).commands)
    assert len(set(lines)) == 6
    words = shlex.split(lines[0])
    assert words[:4] == ["python", "-m", "ablate", "run"]
    assert words[words.index("--set") + 1] == "train.epochs=3"
    assert words[words.index("--ranks") + 1] == "2"


def test_the_plan_names_every_run_with_its_changes_and_state(written):
    path = written(MARGINS)
    run_ablation(path, DATA, (), CPU, only=collect(path, DATA).runs[1].config.name, programs=FakePrograms())
    text = invoke("plan", "--device", "cpu", code=0)
    lines = {" ".join(line.split()) for line in text.splitlines()}
    assert "hypothesis More margin, more accuracy" in lines
    found = [line for line in lines if ", seed " in line]
    assert len(found) == 6
    assert sum("head.m=0.2 (done; study-m-0.2-seed0-" in line for line in found) == 1
    assert sum("(to do; " in line for line in found) == 5
    assert any(line.startswith("to train 5 runs; time unknown: data/faces") for line in lines)


def test_the_plan_of_missing_caches_ends_with_status_2_unless_they_are_to_be_built(written):
    written('[ablate.axes]\n"cache.dtype" = ["float16", "int8"]\n', head="adadistill-arcface")
    text = invoke("plan", "--device", "cpu", code=2)
    assert text.count("MISSING: caches/base") == 2
    assert "MISSING" not in invoke("plan", "--device", "cpu", "--build")


@pytest.mark.parametrize(
    ("slots", "ranks", "expected"),
    [(2, 1, ["a", "b"]), (2, 2, ["a,b", "c,a"]), (4, 1, ["a", "b", "c", "a"]), (1, 3, ["a,b,c"])],
)
def test_slots_get_gpus_in_turn_and_ranks_of_a_run_one_each(slots, ranks, expected):
    machine = Machine("cuda", 1, slots, ranks, ("a", "b", "c"))
    assert [machine.environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(slots)] == expected


def test_threads_of_a_cpu_are_divided_among_slots_and_ranks():
    cores = len(os.sched_getaffinity(0))
    assert Machine.of("cpu", None, 1, 1).threads == cores
    assert Machine.of("cpu", None, cores, 2).threads == 1
    assert Machine.of("cpu", 7, 2, 1).threads == 7
    assert Machine.of("cpu", None, 2, 1).environment(1) == {}


def test_several_ranks_are_launched_and_one_is_not(tmp_path):
    train = OwnPrograms().train
    assert train(tmp_path, DATA, Machine("cpu", 1, 1, 1))[:3] == ["-m", "distill", "train"]
    assert train(tmp_path, DATA, Machine("cpu", 1, 1, 2))[:4] == [
        "-m",
        "common.launch",
        "--standalone",
        "--nproc_per_node=2",
    ]
