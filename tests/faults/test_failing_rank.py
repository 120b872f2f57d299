"""One rank fails: all end at once, one of them says why in one line, and the same command goes on.

The processes of stage one are no ranks: the others finish the cache.
"""

import errno
import os
import pkgutil
import signal
import time
from collections.abc import Callable
from itertools import chain, repeat

import pytest
import torch

from common.errors import CacheError, DataError, ModelError
from distill.step import Trainer
from tests.faults.ranks import Break, in_processes, on_ranks
from tests.faults.world import copied, run

SECONDS = 20
TRAIN = (
    "distill train --config tiny.toml --device cpu --set name=ranks --set cache.path=caches/tiny --set train.epochs=2 "
    "--set train.batch_size=4 --set train.checkpoint_minutes=0 --set train.evaluate_every=1 "
    "--set train.best_by=pairs.accuracy"
)
TWO_SETS = "--set train.epochs=1 --set train.checkpoint_minutes=9 --set evaluate.sets.second=pairs.bin"
SPLIT = "--set head.split_classes=true"  # so that ranks gather for a checkpoint
WORKERS = f"{TRAIN} --set train.workers=2"
BUILD = "cache build --config tiny.toml --device cpu --set name=again --set cache.path=caches/again"


def breaks(name: str, instead: Callable[[], None], after: int = 0) -> Break:
    """`name`, a dotted one, does something else from the call after so many good ones on."""
    module, _, attribute = name.rpartition(".")

    def replace(patch: pytest.MonkeyPatch) -> None:
        owner, left = pkgutil.resolve_name(module), [after]
        whole = getattr(owner, attribute)

        def broken(*arguments, **named):
            left[0] -= 1
            if left[0] < 0:
                instead()
            return whole(*arguments, **named)

        patch.setattr(owner, attribute, broken)

    return replace


def fails(name: str, error: Exception, after: int = 0) -> Break:
    def instead() -> None:
        raise error

    return breaks(name, instead, after)


def killed() -> None:
    """As by the system when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def not_finite(patch: pytest.MonkeyPatch) -> None:
    whole, factors = Trainer._forward, chain([1, 1, torch.nan], repeat(1))

    def forward(self, faces):
        return whole(self, faces) * next(factors)

    patch.setattr(Trainer, "_forward", forward)


FULL = OSError(errno.ENOSPC, "No space left on device", "the disk")
GONE = DataError("data/faces: gone: get it")
BAD_PICTURE = DataError("data/faces: record 7 does not decode: mend it")
# What fails -> command, the rank it fails on, how, the line.
STAGE_TWO: dict[str, tuple[str, int, Break, str]] = {
    "opening the faces": (TRAIN, 1, fails("distill.run.parts.open_faces", GONE), "data/faces: gone"),
    "opening the cache": (TRAIN, 1, fails("distill.run.parts.open_caches", CacheError("caches/x: cut")), "x: cut"),
    "claiming the folder": (TRAIN, 0, fails("distill.run.run_dir._make", FULL), "runs/ranks: cannot be written"),
    "opening the board": (TRAIN, 0, fails("distill.run.board.Board.__init__", FULL), "curves cannot be written"),
    "the first batch": (TRAIN, 1, fails("distill.batches.FaceBatches.__getitem__", BAD_PICTURE), "record 7"),
    "a picture of a worker": (WORKERS, 1, fails("distill.batches.FaceBatches.fill", BAD_PICTURE, 1), "record 7"),
    "a worker": (WORKERS, 1, breaks("distill.batches.FaceBatches.fill", killed, 1), "a worker that loads"),
    "a step": (TRAIN, 1, fails("distill.step.Trainer.step", MemoryError("no room"), 2), "out of memory"),
    "a step that is not finite": (TRAIN, 1, not_finite, "lower train.lr"),
    "the curves": (TRAIN, 0, fails("distill.run.board.Board.add", FULL, 2), "the curves cannot be written"),
    "evaluating": (TRAIN, 1, fails("distill.evaluation.embed_with_norms", DataError("picture 3: bad")), "picture 3"),
    "measuring": (TRAIN, 0, fails("distill.evaluation.StudentEvaluation.better", MemoryError()), "out of memory"),
    "the best student": (TRAIN, 0, fails("distill.train.export", FULL), "best.safetensors: cannot be written"),
    "a checkpoint": (TRAIN, 0, fails("distill.run.checkpoints.write_state", FULL, 2), ".pt: cannot be written"),
    "the student": (TRAIN, 0, fails("distill.train.write_summary", FULL), "student.safetensors: cannot be written"),
}
QUICK = ("a picture of a worker", "a checkpoint")


def few(names: dict) -> list:
    """Those of QUICK for every run, the others for the long one; all of them on 2 and 3 ranks."""
    return [
        pytest.param(ranks, name, marks=[] if name in QUICK and ranks == 2 else [pytest.mark.slow])
        for ranks in (2, 3)
        for name in names
    ]


@pytest.mark.parametrize(("ranks", "phase"), few(STAGE_TWO))
def test_a_rank_that_fails_ends_the_training_at_once_with_one_line_and_it_goes_on(
    template, tmp_path, monkeypatch, ranks, phase
):
    command, number, how, line = STAGE_TWO[phase]
    world = copied(template, tmp_path / "world")
    with monkeypatch.context() as as_with_nccl:
        as_with_nccl.setattr("torch.distributed.destroy_process_group", lambda: time.sleep(60))
        failed = on_ranks(world, command, ranks, {number: how})
    assert failed.seconds < SECONDS, failed
    assert set(failed.codes) == {2}, failed
    assert line in failed.error(), failed
    assert "Traceback" not in failed.printed
    gone_on = on_ranks(world, command, ranks)
    assert set(gone_on.codes) == {0}, gone_on.printed
    assert (world / "runs/ranks/student.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_mistake_of_ours_on_one_rank_ends_all_with_one_traceback(template, tmp_path, ranks):
    world = copied(template, tmp_path / "world")
    failed = on_ranks(world, TRAIN, ranks, {1: fails("distill.step.Trainer.step", KeyError("ours"), 3)})
    assert failed.seconds < SECONDS
    assert failed.codes[1] == 1
    assert 0 not in failed.codes
    assert failed.printed.count("Traceback (most recent call last)") == 1
    assert failed.printed.rstrip().endswith("KeyError: 'ours'")


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_rank_that_is_killed_ends_the_others(template, tmp_path, ranks):
    world = copied(template, tmp_path / "world")
    failed = on_ranks(world, WORKERS, ranks, {1: breaks("distill.step.Trainer.step", killed, 3)})
    assert failed.seconds < SECONDS
    assert failed.codes == [2, -signal.SIGKILL, *[2] * (ranks - 2)]
    assert "another rank is gone" in failed.error()
    assert set(on_ranks(world, WORKERS, ranks).codes) == {0}


@pytest.mark.slow
def test_a_rank_that_is_busy_alone_learns_that_another_has_failed(template, tmp_path):
    """No collective, in which gloo would notice."""
    world = copied(template, tmp_path / "world")
    busy = breaks("evaluate.sets.ten_fold", lambda: time.sleep(60), 1)  # the first call is the look at best_by
    second_set = fails("distill.evaluation.embed_with_norms", DataError("pairs.bin: picture 3: bad"), 1)
    failed = on_ranks(world, f"{TRAIN} {TWO_SETS}", 2, {0: busy, 1: second_set})
    assert failed.codes == [2, 2], failed
    assert failed.seconds < SECONDS
    assert "picture 3: bad" in failed.error()


@pytest.mark.slow
@pytest.mark.parametrize(
    "work",
    [
        "distill.run.board.Board.describe",
        "evaluate.sets.ten_fold",
        "distill.train.StudentEvaluation.better",
        "distill.run.checkpoints.write_state",
    ],
)
def test_what_the_first_rank_does_alone_may_take_longer_than_ranks_wait_in_a_step(
    template, tmp_path, monkeypatch, work
):
    monkeypatch.setattr("common.runtime.STEP_MINUTES", 4 / 60)
    world = copied(template, tmp_path / "world")
    slow = on_ranks(world, f"{TRAIN} {TWO_SETS} {SPLIT}", 2, {0: breaks(work, lambda: time.sleep(6))})
    assert set(slow.codes) == {0}, slow
    assert slow.seconds > 6


STAGE_ONE: dict[str, tuple[Break, str]] = {
    "opening the faces": (fails("common.faces.open_faces", GONE), "data/faces: gone"),
    "opening the teacher": (fails("cache.teachers.open_teacher", ModelError("tiny.onnx: cut")), "tiny.onnx: cut"),
    "creating the cache": (fails("cache.build.create_cache", FULL), "make room"),
    "a picture": (fails("cache.units.render.render_batch", BAD_PICTURE), "record 7"),
    "a shard": (fails("cache.units.compute.record_unit", FULL), "make room"),
    "sealing": (fails("cache.build.seal", FULL), "make room"),
}


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("phase", STAGE_ONE)
def test_a_process_of_stage_one_that_fails_says_so_and_the_cache_is_finished(template, tmp_path, count, phase):
    how, line = STAGE_ONE[phase]
    world = copied(template, tmp_path / "world")
    together = in_processes(world, BUILD, count, {1: how})
    assert together.seconds < SECONDS, together
    assert set(together.codes) <= {0, 2}, together
    if together.codes[1]:  # the others may have left nothing to fail at
        assert line in together.error()
    alone = run(world, f"{BUILD} --set name=alone --set cache.path=caches/alone")
    assert set(in_processes(world, BUILD, count).codes) == {alone.code} == {0}
