"""What CHECK passes must start: every experiment here is planned, then run, in stage one and in evaluation."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from common.faces.recordio_dataset import write_recordio_dataset
from tests.faults.world import contents, copied, run
from tests.tiny import jpegs, portrait

ROOT = Path(__file__).parents[1]


@pytest.fixture
def world(template: Path, tmp_path: Path, blank_pictures: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template, in which plans measure the pace on as little as may be."""
    monkeypatch.setattr("cache.rehearsal.SECONDS", 0.1)
    return copied(template, tmp_path / "world")


def unbuilt(world: Path) -> None:
    shutil.rmtree(world / "caches")


def cut_short(world: Path) -> None:
    """As a kill leaves a cache: not sealed, and one unit's record is not there."""
    unbuilt(world)
    run(world, "cache build --config tiny.toml", before=lambda: interrupt_second_unit())


def interrupt_second_unit() -> None:
    import cache.units.compute

    write, done = cache.units.compute._write, []

    def once(*arguments) -> bool:
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return write(*arguments)

    cache.units.compute._write = once


def raw_photos(world: Path) -> None:
    unbuilt(world)
    large = cv2.resize(portrait(0, 0), (250, 250))
    for file in (world / "data/photos").rglob("*.jpg"):
        cv2.imwrite(str(file), large)


def other_faces(world: Path) -> None:
    write_recordio_dataset(world / "data/faces", jpegs(7, 5, first=50))


def no_teacher(world: Path) -> None:
    unbuilt(world)
    (world / "data/tiny.onnx").unlink()


def not_a_cache(world: Path) -> None:
    unbuilt(world)
    (world / "caches/tiny").mkdir(parents=True)
    (world / "caches/tiny/mine.txt").write_text("")


def set_without_metadata(world: Path) -> None:
    (world / "data/pairs.bin").unlink()
    (world / "data/pairs.bin").mkdir()


def no_set(world: Path) -> None:
    (world / "data/pairs.bin").unlink()


def damaged_set(world: Path) -> None:
    (world / "data/pairs.bin").write_bytes(b"no pickle")


def no_student(world: Path) -> None:
    shutil.rmtree(world / "runs")


def as_it_is(world: Path) -> None:
    pass


PHOTOS = " --set faces.path=photos"
STAGE_ONE: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "nothing is there yet": (unbuilt, "", True),
    "finished": (as_it_is, "", True),
    "cut short": (cut_short, "", True),
    "another student's width": (unbuilt, " --set student.embedding_size=32", False),
    "a GPU that is not there": (unbuilt, " --device cuda", False),
    "raw photos": (raw_photos, PHOTOS, False),
    "raw photos that fit": (raw_photos, f"{PHOTOS} --set faces.fit=resize", True),
    "no faces": (unbuilt, " --set faces.path=nowhere", False),
    "other numbers of faces": (unbuilt, " --set faces.samples=36", False),
    "no teacher's weights": (no_teacher, "", False),
    "a cache of other faces": (other_faces, "", False),
    "a cache of other views": (as_it_is, " --set views.policy=none", False),
    "a cache cut otherwise": (as_it_is, " --set cache.shard_rows=16", False),
    "another runtime": (as_it_is, " --set cache.same_runtime=true --set cache.batch_size=5", False),
    "something else in the way": (not_a_cache, "", False),
    "no experiment": (as_it_is, " --set name=..", False),
}
EVALUATION: dict[str, tuple[Callable[[Path], None], str, bool]] = {
    "whole": (as_it_is, "", True),
    "with the teacher": (as_it_is, " --set evaluate.teacher=true", True),
    "a set without metadata": (set_without_metadata, "", False),
    "a damaged set": (damaged_set, "", False),
    "a set that is not there beside one that is": (as_it_is, " --set evaluate.sets.ijbc=facerec_val/IJBC", True),
    "no set is there": (no_set, "", False),
    "no student": (no_student, "", False),
    "no sets": (as_it_is, " --set evaluate.sets={}", False),
    "no teacher's weights": (no_teacher, " --set evaluate.teacher=true", False),
}


@pytest.mark.parametrize(
    ("command", "breaking", "options", "starts"),
    [
        pytest.param(command, *case, id=f"{command}: {name}")
        for command, cases in (("cache build", STAGE_ONE), ("evaluate run", EVALUATION))
        for name, case in cases.items()
    ],
)
def test_what_check_passes_starts_and_what_it_refuses_does_not(world, command, breaking, options, starts):
    breaking(world)
    before = contents(world)
    line = f"{command} --config tiny.toml{options}"
    planned = run(world, f"{line} --check")
    assert contents(world) == before, "a plan writes nothing"
    done = run(world, line)
    wanted = 0 if starts else 2
    assert (planned.code, done.code) == (wanted, wanted), planned.printed + done.printed
    assert "Traceback" not in planned.printed + done.printed
    assert ("nothing is missing" in planned.printed) == starts


@pytest.mark.parametrize(
    ("breaking", "state"),
    [
        (unbuilt, "not begun"),
        (as_it_is, "finished and sealed: nothing to do"),
        (cut_short, "goes on at unit 2 of 10"),
    ],
)
def test_a_plan_says_where_a_build_is_and_the_teachers_width_and_the_time(world, breaking, state):
    breaking(world)
    printed = run(world, "cache build --config tiny.toml --check").printed
    assert f"  {state}\n" in printed
    assert ", 16 wide\n" in printed
    assert ("faces/s (cpu, 1 threads), measured now" in printed) == ("finished" not in state)


def test_a_plan_of_an_evaluation_says_what_would_be_measured_and_the_time(world):
    printed = run(world, "evaluate run --config tiny.toml --check").printed
    assert "data/pairs.bin, 40 pictures\n" in printed
    assert "for 40 pictures by 1 models here" in printed


def test_a_disk_too_small_for_the_cache_is_missing(world, monkeypatch):
    unbuilt(world)
    monkeypatch.setattr("cache.plan.free_bytes", lambda folder: 100)
    planned = run(world, "cache build --config tiny.toml --check")
    assert planned.code == 2
    assert "MISSING: caches/tiny: " in planned.printed
    assert "to write, 100 bytes free" in planned.printed


def test_a_bad_picture_that_ends_the_build_says_how_to_leave_it_out(world):
    unbuilt(world)
    (world / "data/photos/1/1.jpg").write_bytes(b"no picture")
    done = run(world, f"cache build --config tiny.toml{PHOTOS}")
    assert done.code == 2
    assert done.printed.endswith('or leave such pictures out: cache.on_bad_image = "skip"\n')
    assert run(world, f"cache build --config tiny.toml{PHOTOS} --set cache.on_bad_image=skip").code == 0


def test_the_experiment_file_of_a_run_is_one_for_every_stage(world):
    for command in ("cache build", "cache info", "distill train", "evaluate run"):
        done = run(world, f"{command} --config runs/tiny/config.toml")
        assert done.code == 0, (command, done.printed)
    # A program of its own: FAISS may hang in a process that was forked beside another's threads.
    audit = [sys.executable, "-m", "cache", "audit", "--config", "runs/tiny/config.toml"]
    subprocess.run(audit, cwd=world, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    assert (world / "audits/tiny/summary.txt").exists()


def test_an_audit_with_check_writes_nothing(world):
    before = contents(world)
    planned = run(world, "cache audit --config tiny.toml --check")
    assert (planned.code, contents(world)) == (0, before)
    assert "audit of caches/tiny: report in audits/tiny" in planned.printed
    other_faces(world)
    assert "MISSING: " in run(world, "cache audit --config tiny.toml --check").printed


@pytest.mark.parametrize(
    ("command", "target", "line"),
    [
        ("cache build", "cache.build.build", "the same command goes on from here"),
        ("distill train", "distill.train.train", "the same command goes on from here"),
        ("evaluate run", "evaluate.run.evaluate_models", "the same command starts again"),
    ],
)
def test_ctrl_c_is_one_line_that_says_how_it_goes_on(world, command, target, line):
    def stop() -> None:
        import importlib

        module, name = target.rsplit(".", 1)
        entry = importlib.import_module(f"{command.split()[0]}.__main__")

        def interrupted(*arguments, **named):
            raise KeyboardInterrupt

        for place in (importlib.import_module(module), entry):
            for known in (name, {"build": "build_cache", "train": "train_student"}.get(name, name)):
                if hasattr(place, known) and getattr(place, known).__module__ == module:
                    setattr(place, known, interrupted)

    done = run(world, f"{command} --config tiny.toml", before=stop)
    assert done.code == 130
    assert done.printed.endswith(f"\nstopped: {line}\n")
    assert "Traceback" not in done.printed
    assert "Aborted" not in done.printed
