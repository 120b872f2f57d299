"""A run that was interrupted is the run that was not: weights, optimiser, centres, statistics, curves, bit for bit."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from common.errors import ConfigError, DataError, UserError
from distill.step import Trainer
from tests.distill.conftest import EVERY_LINE, SETS
from tests.distill.small_runs import curves, equal, final_state, on_ranks, run, start


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
    assert [line["step"] for line in curves("whole")] == [1, 2, 3, 4, 7, 8]


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


def test_a_best_checkpoint_does_not_call_a_run_back_when_the_global_batch_grows(paired, stop_at):
    """Steps are numbered anew: the best, of step 4 of 12, is step 2 of 6, and steps 4 to 6 come after it."""
    options = {**EVERY_LINE, "epochs": 3, "evaluate_every": 1, "best_by": "pairs.eer", "keep_checkpoints": 1}
    stop_at(6, "best", train=options, evaluate=SETS)
    before = final_state("best")
    assert (before["step"], before["best"]["step"]) == (6, 4)
    on_ranks(2, go_on_with_best, {**options, "evaluate_every": 3}, 5)
    after = final_state("best")
    assert (after["step"], after["ranks"]) == (5, 2)
    assert after["best"] == {**before["best"], "step": 2}
    kept = torch.load("runs/best/checkpoints/best.pt", weights_only=True)
    assert (kept["step"], kept["ranks"]) == (4, 1)  # as its own run numbered it
    on_ranks(2, go_on_with_best, options, None)
    assert final_state("best")["step"] == 6
    names = sorted(path.name for path in Path("runs/best/checkpoints").iterdir())
    assert names == ["best.pt", "step000000006.pt"]
    # Nothing that was logged before the batch grew was lost by the second restart.
    epochs = [line["epoch"] for line in curves("best") if "loss" in line]
    assert epochs == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0]


def go_on_with_best(rank: int, options: dict, stop: int | None) -> None:
    """Two ranks of the same batch_size, interrupted before step number `stop`."""
    step = Trainer.step

    def stopping(self, batch, at, steps):
        if at == stop:
            raise KeyboardInterrupt
        return step(self, batch, at, steps)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Trainer, "step", stopping)
        run("best", train=options, evaluate=SETS)


def test_two_processes_never_train_one_run(cached):
    process = start("busy", train=EVERY_LINE)
    while not Path("runs/busy/checkpoints").exists():
        assert process.is_alive()
        time.sleep(0.005)
    with pytest.raises(UserError, match=rf"runs/busy: a training \(process {process.pid} on .*\) is at work on it"):
        run("busy", train=EVERY_LINE)
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_another_global_batch_on_the_same_ranks_is_refused(cached):
    run("once")
    with pytest.raises(ConfigError, match=r"train\.batch_size was 8 on 1 rank\(s\), a global batch of 8; it is 16 now"):
        run("once", train={"batch_size": 16})
