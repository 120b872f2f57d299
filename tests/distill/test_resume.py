"""A run that was interrupted is the run that was not: weights, optimiser, centres, statistics, curves, bit for bit."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest
import torch

from cache.build import build
from common.errors import ConfigError, DataError, UserError
from common.sources import open_source
from distill import checkpoints
from distill.step import Trainer
from tests.distill.small_runs import curves, equal, final_state, on_ranks, run, start
from tests.tiny import TinyTeacher, experiment, write_faces

EVERY_LINE = {"epochs": 2, "checkpoint_minutes": 0, "log_every": 1, "ema": 0.9}


@pytest.fixture
def stop_at(monkeypatch):
    """Callable: the next run is interrupted before it takes this step, counted from 0."""
    step = Trainer.step

    def stop_at(number: int, name: str, **sections) -> None:
        def stopping(self, batch, at, steps):
            if at == number:
                raise KeyboardInterrupt
            return step(self, batch, at, steps)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", stopping)
            with pytest.raises(KeyboardInterrupt):
                run(name, **sections)

    return stop_at


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict, list[dict]]:
    """Final state and curves of a run that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        write_faces(Path("data/faces"))
        build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
        run("whole", train=EVERY_LINE)
        return final_state("whole"), curves("whole")


def test_a_run_stopped_at_any_step_is_the_undisturbed_one(cached, stop_at, undisturbed):
    for workers, number in enumerate((1, 2, 5, 7)):
        stop_at(number, "stopped", train={**EVERY_LINE, "workers": workers % 2})
    run("stopped", train=EVERY_LINE)
    assert equal(final_state("stopped"), undisturbed[0])
    assert curves("stopped") == undisturbed[1]


def test_log_lines_between_checkpoints_do_not_show_where_it_was_stopped(cached, stop_at):
    options = {**EVERY_LINE, "log_every": 3, "ema": 0}
    run("whole", train=options)
    stop_at(5, "stopped", train=options)
    assert final_state("stopped")["step"] == 4
    run("stopped", train=options)
    assert equal(final_state("stopped"), final_state("whole"))
    assert curves("stopped") == curves("whole")
    assert [line["step"] for line in curves("whole")] == [3, 4, 7, 8]


def test_a_killed_process_goes_on(cached, undisturbed):
    process = start("killed", train={**EVERY_LINE, "workers": 1})
    folder = Path("runs/killed/checkpoints")
    while not (folder / "step000000003.pt").exists():
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert final_state("killed")["step"] < 8
    run("killed", train=EVERY_LINE)
    assert equal(final_state("killed"), undisturbed[0])
    assert curves("killed") == undisturbed[1]


def test_a_damaged_checkpoint_is_named_and_passed_over(cached, stop_at, undisturbed, capsys):
    stop_at(6, "damaged", train=EVERY_LINE)
    newest = Path("runs/damaged/checkpoints/step000000006.pt")
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of a weight, which torch itself does not notice
    newest.write_bytes(content)
    run("damaged", train=EVERY_LINE)
    said = capsys.readouterr().out
    assert f"{newest}: damaged checkpoint (wrong checksum of" in said
    assert "going on after step 5" in said
    assert equal(final_state("damaged"), undisturbed[0])


def test_where_all_checkpoints_are_damaged_it_is_said_what_to_do(cached):
    run("damaged")
    for path in Path("runs/damaged/checkpoints").glob("*.pt"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="all checkpoints are damaged: remove that folder"):
        run("damaged")


def test_only_the_last_checkpoints_are_kept(cached):
    run("kept", train={**EVERY_LINE, "keep_checkpoints": 2})
    names = [path.name for path in sorted(Path("runs/kept/checkpoints").iterdir())]
    assert names == ["step000000007.pt", "step000000008.pt"]


def test_the_best_checkpoint_stays_and_later_ones_of_undone_work_go(tmp_path):
    for step in range(1, 7):
        checkpoints.save(tmp_path, step, {"step": step}, keep=2, best=2)
    assert [path.stem for path in sorted(tmp_path.iterdir())] == ["step000000002", "step000000005", "step000000006"]
    checkpoints.save(tmp_path, 4, {"step": 4}, keep=1, best=2)
    assert [path.stem for path in sorted(tmp_path.iterdir())] == ["step000000002", "step000000004"]


def test_a_full_disk_is_told_and_leaves_the_checkpoint_before(tmp_path):
    checkpoints.save(tmp_path, 1, {"step": 1}, keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"step000000002\.pt: the checkpoint cannot be written .*make room and run"):
            checkpoints.save(tmp_path, 2, {"step": 2, "weights": torch.zeros(1_000_000)}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoints.latest(tmp_path) == {"step": 1}


def go_on(rank: int, batch_size: int) -> None:
    run("ranks", train={**EVERY_LINE, "batch_size": batch_size, "sync_batchnorm": True})


def test_more_ranks_go_on_with_the_same_global_batches(cached, stop_at, undisturbed, capfd):
    stop_at(5, "ranks", train={**EVERY_LINE, "sync_batchnorm": True})
    on_ranks(2, go_on, 4)
    assert "2 rank(s) after 1, the same global batches" in capfd.readouterr().out
    state, lines = final_state("ranks"), curves("ranks")
    assert (state["ranks"], state["step"]) == (2, 8)
    # Later losses drift apart: rounding grows quickly in so small a run.
    assert lines[5]["loss"] == pytest.approx(undisturbed[1][5]["loss"], rel=1e-5)


def test_more_ranks_with_a_larger_global_batch_go_on_at_the_same_place(cached, stop_at, capfd):
    stop_at(6, "ranks", train={**EVERY_LINE, "sync_batchnorm": True})
    on_ranks(2, go_on, 8)
    assert "a global batch of 16 after 8, on 2 rank(s) after 1" in capfd.readouterr().out
    # Six of eight steps became three of four.
    assert [(line["step"], line["epoch"]) for line in curves("ranks")][5:] == [(6, 1.5), (4, 2.0)]


def test_two_processes_never_train_one_run(cached):
    process = start("busy", train=EVERY_LINE)
    while not Path("runs/busy/checkpoints").exists():
        assert process.is_alive()
        time.sleep(0.005)
    with pytest.raises(ConfigError, match="runs/busy: another process is training this run"):
        run("busy", train=EVERY_LINE)
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_another_global_batch_on_the_same_ranks_is_refused(cached):
    run("once")
    with pytest.raises(ConfigError, match=r"train\.batch_size was 8 on 1 rank\(s\), a global batch of 8; it is 16 now"):
        run("once", train={"batch_size": 16})
