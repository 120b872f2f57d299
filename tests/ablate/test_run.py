"""The runs of an ablation by programs that only seem to train: slots, failures, kills, several processes at once."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ablate.machine import Machine
from ablate.results import collect
from ablate.run import run_ablation
from common.errors import CacheError, ConfigError
from common.writers import only_writer
from tests.ablate.conftest import CPU, FakePrograms

MARGINS = """
hypothesis = "More margin, more accuracy"
[ablate]
seeds = [0, 1]
metrics = ["pairs.accuracy", "pairs.tar@1e-2"]
[ablate.axes]
"head.m" = [0.1, 0.2, 0.3]
"""
DATA = Path("data")
SECONDS = 120.0  # of a machine so busy that four starts of Python, a run's own, take half a minute


def run(path, programs=None, **more) -> int:
    return run_ablation(path, DATA, (), more.pop("machine", CPU), programs=programs or FakePrograms(), **more)


def in_process(path, programs, **more) -> multiprocessing.Process:
    """The same in a process of its own, to be killed."""

    def quietly() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children ignore it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        raise SystemExit(run(path, programs, **more))

    process = multiprocessing.get_context("fork").Process(target=quietly)
    process.start()
    return process


def starts() -> dict[str, list[int]]:
    """By run: the step that each of its trainings began after."""
    files = sorted(Path("runs").glob("*/starts.txt"))
    return {file.parent.name: [int(line) for line in file.read_text().splitlines()] for file in files}


def wait_for(condition, seconds=SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_every_run_is_trained_and_evaluated_once_and_the_study_has_its_numbers(written, capsys):
    path = written(MARGINS)
    assert run(path) == 0
    study = collect(path, DATA)
    assert (study.hypothesis, study.baseline) == ("More margin, more accuracy", "m=0.1")
    assert {run.status for run in study.runs} == {"done"}
    for done in study.runs:
        accuracy = 0.5 + done.axes["head.m"] / 2 + done.seed / 100
        assert done.metrics["pairs.accuracy"] == accuracy
        assert done.metrics["pairs.tar@1e-2"] == accuracy / 2
        assert (done.seconds, done.faces_per_second) == (4.0, 101.5)
        assert done.student is not None
        assert done.student.macs > done.student.parameters > 10_000
    assert study.teacher == {"pairs.accuracy": 0.99, "pairs.tar@1e-2": 0.9}
    measured = [file.read_text().split() for file in Path("runs").glob("*/evaluations.txt")]
    assert len(measured) == 6
    assert all(len(times) == 1 for times in measured)
    assert 1 <= measured.count(["True"]) <= CPU.slots, "the teacher is measured with the first"
    before = starts()
    capsys.readouterr()
    assert run(path) == 0
    assert starts() == before
    assert "6 runs, 0 of them to do" in capsys.readouterr().out


def test_a_changed_set_is_measured_without_training_again(written):
    path = written(MARGINS)
    run(path)
    before = starts()
    (DATA / "more.bin").touch()
    written(MARGINS, evaluate={"sets": {"pairs": "pairs.bin", "more": "more.bin"}})
    assert run(path) == 0
    assert starts() == before
    assert {len(file.read_text().split()) for file in Path("runs").glob("*/evaluations.txt")} == {2}


def test_a_run_that_is_trained_and_not_measured_is_not_done(written):
    path = written(MARGINS)
    run(path)
    first = collect(path, DATA).runs[0]
    (first.folder / "evaluation" / "results.json").unlink()
    assert [run.status for run in collect(path, DATA).runs] == ["waiting", *["done"] * 5]
    assert collect(path, DATA).runs[0].seconds == 4.0


def test_one_failure_stops_nobody_and_is_named_at_the_end(written, capsys):
    path = written(MARGINS.replace("0.2", "0.13"))
    assert run(path) == 1
    said = capsys.readouterr().out
    failed = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert failed == [f"failed: m=0.13, seed {seed}: no such luck: try another number" for seed in (0, 1)]
    study = collect(path, DATA)
    assert [run.status for run in study.runs] == ["done", "failed", "done"] * 2
    assert {run.failure for run in study.runs} == {"", "no such luck: try another number"}
    assert run(path) == 1, "it is tried again"
    assert [len(times) for name, times in starts().items() if "0.13" in name] == [2, 2]


def test_after_kill_9_no_training_lives_on_and_the_same_command_goes_on(written):
    path, slow = written(MARGINS), FakePrograms(steps=20, seconds=0.05)
    process = in_process(path, slow)
    wait_for(lambda: sum(int(file.read_text()) for file in Path("runs").glob("*/step")) > 10)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    time.sleep(0.3)
    left = {file: file.read_text() for file in Path("runs").glob("*/step")}
    time.sleep(0.3)
    assert {file: file.read_text() for file in left} == left, "a training outlived its ablation"
    assert run(path, FakePrograms(steps=20)) == 0
    begun = {file.parent.name: int(step) for file, step in left.items() if int(step) < 20}
    assert begun
    for name, times in starts().items():
        assert times == ([0, begun[name]] if name in begun else [0]), "nothing finished or half done is done again"


def test_ctrl_c_stops_trainings_and_the_same_command_goes_on(written):
    path = written(MARGINS)
    process = in_process(path, FakePrograms(steps=20, seconds=0.05))
    wait_for(lambda: len(list(Path("runs").glob("*/step"))) >= 2)
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode not in (0, None)
    assert {file.read_text() for file in Path("runs").glob("*/step")}.isdisjoint({"20"}), "nobody waited for their end"
    assert run(path, FakePrograms(steps=20)) == 0
    assert sum(len(times) for times in starts().values()) <= 6 + CPU.slots


def test_processes_at_once_share_the_runs_and_take_over_from_a_killed_one(written):
    """Fifteen steps of 20 ms each: the killed one loses its runs to the others, who go on after its last step.
    Their programs hold no locks, as on a disk that has none: the claims alone keep them apart."""
    path, slow = written(MARGINS), FakePrograms(steps=15, seconds=0.02, locks=False)
    processes = [in_process(path, slow, machine=Machine("cpu", 1, slots=1, ranks=1)) for _ in range(3)]
    wait_for(lambda: len(starts()) >= 3)
    os.kill(processes[0].pid, signal.SIGKILL)
    for process in processes[1:]:
        process.join(SECONDS)
        assert process.exitcode == 0
    assert {run.status for run in collect(path, DATA).runs} == {"done"}
    measured = {file.parent.name: file.read_text().split() for file in Path("runs").glob("*/evaluations.txt")}
    assert len(measured) == 6
    again = [name for name, times in starts().items() if times != [0] or len(measured[name]) > 1]
    assert len(again) <= 1, "at most the killed one's run is begun twice, or measured twice"


def test_one_run_alone_by_the_word_that_commands_prints(written):
    path = written(MARGINS)
    second = collect(path, DATA).runs[1]
    assert second.command.endswith(f"--only {second.config.name.rpartition('-')[2]}")
    assert run(path, only=second.command.split()[-1]) == 0
    assert [other.status for other in collect(path, DATA).runs] == ["waiting", "done", *["waiting"] * 4]
    with pytest.raises(ConfigError, match="--only 0123: no run of this ablation"):
        run(path, only="0123")


def test_missing_caches_are_refused_before_anything_starts(written):
    path = written(MARGINS, head="adadistill-arcface")
    with pytest.raises(CacheError, match=r"caches/base: cache missing: give --build"):
        run(path)
    assert not Path("runs").exists()
    also = written('[ablate.axes]\n"cache.also" = [[], ["caches/more"]]\n', head="adadistill-arcface")
    with pytest.raises(CacheError, match=r"caches/more: cache missing: no run of this ablation builds it"):
        run(also, build=True)


def test_a_run_that_fails_in_one_process_is_not_tried_by_another_at_the_same_time(written):
    path, slow = written(MARGINS.replace("0.2", "0.13").replace("[0, 1]", "[0]")), FakePrograms(steps=15, seconds=0.05)
    processes = [in_process(path, slow, machine=Machine("cpu", 1, slots=3, ranks=1)) for _ in range(2)]
    for process in processes:
        process.join(SECONDS)
        assert process.exitcode == 1, "both name it"
    assert sorted(len(times) for times in starts().values()) == [1, 1, 1]


def test_a_folder_that_somebody_trains_in_is_waited_for(written):
    path = written(MARGINS.replace("[0, 1]", "[0]"))
    busy = collect(path, DATA).runs[0].config.run_dir
    with only_writer(busy, "a training"):
        process = in_process(path, FakePrograms())
        wait_for(lambda: len(list(Path("runs").glob("*/evaluation/evaluated.json"))) == 2)
        time.sleep(1.2)
        assert process.is_alive()
        assert not (busy / "starts.txt").exists()
    process.join(20)
    assert process.exitcode == 0
    assert starts()[busy.name] == [0]
