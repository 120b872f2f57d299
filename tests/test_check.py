"""CHECK=1 of stage two against the command itself: what it passes starts, what the command refuses it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from cache.build import build
from common.config.file import toml_of
from common.faces.sources import open_source
from common.writers.locks import only_writer
from distill.__main__ import main as distill
from distill.step import Trainer
from tests.distill.conftest import SETS, cached, cached_world, paired, stop_at  # noqa: F401 - fixtures
from tests.distill.small_runs import run
from tests.tiny import TinyTeacher, experiment

EVALUATED = {"epochs": 2, "evaluate_every": 1}
CACHE = {"path": "caches/tiny"}


class _Started(Exception):
    """The command took its first step."""


@pytest.fixture
def asked(monkeypatch) -> Callable[..., tuple[str, str, list[str]]]:
    """Callable: (what CHECK says, what the command says, what CHECK left on the disk that was not there)."""
    monkeypatch.setattr("common.runtime.set_threads", lambda threads, ranks: 1)
    monkeypatch.setattr("distill.calibration.SECONDS", 0.0)

    def asked(device: str, sections: dict[str, Any]) -> tuple[str, str, list[str]]:
        Path("e.toml").write_text(toml_of(experiment(**{"name": "run", "cache": CACHE, **sections})))
        words = ["train", "--config", "e.toml", "--device", device]
        before = set(Path().rglob("*"))
        checked = CliRunner().invoke(distill, [*words, "--check"])
        left = [str(path) for path in set(Path().rglob("*")) - before]
        assert checked.exit_code == (2 if "MISSING" in checked.output else 0), checked.output
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", lambda *_: (_ for _ in ()).throw(_Started))
            command = CliRunner().invoke(distill, words)
        assert command.exit_code == 2 or command.exception is None or isinstance(command.exception, _Started)
        return checked.output, command.output if command.exit_code == 2 else "", left

    return asked


def nothing() -> None:
    """The experiment is broken by itself, or not at all."""


def without_cache() -> None:
    shutil.rmtree("caches/tiny")


def without_seal() -> None:
    """As a build leaves its cache until it is finished."""
    shutil.rmtree("caches/tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cache.build.seal_once", lambda *_: None)
        build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def without_faces() -> None:
    shutil.rmtree("data/faces")


def trained(**train: Any) -> Callable[[], None]:
    """A run folder of that training, finished."""
    return lambda: run("run", train=train) and None


def damaged_checkpoints() -> None:
    run("run")
    for path in Path("runs/run/checkpoints").glob("*.pt"):
        path.write_bytes(b"")


def a_file_for_the_runs() -> None:
    Path("runs").write_text("in the way")


def a_broken_set() -> None:
    Path("data/pairs.bin").write_bytes(b"not a pickle")


def a_set_without_metadata() -> None:
    Path("data/ijb").mkdir()


def a_bad_picture() -> None:
    rec = Path("data/faces/train.rec")
    content = rec.read_bytes()
    rec.write_bytes(content.replace(b"\xff\xd8\xff", b"\x00\x00\x00"))


BROKEN: dict[str, tuple[Callable[[], None], str, dict[str, Any], str]] = {
    "another configuration": (trained(), "cpu", {"train": {"lr": 0.01}}, "train.lr was 0.05, is 0.01"),
    "another batch": (trained(), "cpu", {"train": {"batch_size": 16}}, "train.batch_size was 8 on 1 rank(s)"),
    "damaged checkpoints": (damaged_checkpoints, "cpu", {}, "all checkpoints are damaged"),
    "no GPU": (nothing, "cuda", {}, "torch sees no CUDA device"),
    "an unknown device": (nothing, "tpu", {}, "--device tpu: unknown"),
    "float16 on a CPU": (nothing, "cpu", {"train": {"precision": "float16"}}, "needs a GPU"),
    "no cache": (without_cache, "cpu", {}, "caches/tiny"),
    "an unsealed cache": (without_seal, "cpu", {}, "caches/tiny: the cache is not finished"),
    "a cache of another policy": (nothing, "cpu", {"views": {"policy": "none"}}, "views.policy is 'flip' in the cache"),
    "no faces": (without_faces, "cpu", {}, "no training faces there"),
    "faces of a wrong number": (nothing, "cpu", {"faces": {"samples": 36}}, "the config expects 36"),
    "pictures that do not decode": (a_bad_picture, "cpu", {}, "faces"),
    "a student of another width": (nothing, "cpu", {"student": {"embedding_size": 32}}, "set it to 16"),
    "too large a batch": (nothing, "cpu", {"train": {"batch_size": 36}}, "do not fill one global batch"),
    "no header": (nothing, "cpu", {"head": {"header": "gone.pt", "centers": "frozen"}}, "gone.pt"),
    "a sample of all classes": (
        nothing,
        "cpu",
        {"head": {"sample_rate": 0.99}},
        "head.sample_rate = 0.99 has no effect",
    ),
    "an unknown metric": (
        nothing,
        "cpu",
        {"evaluate": SETS, "train": {**EVALUATED, "best_by": "pairs.acuracy"}},
        "'pairs.acuracy' is no number of that set",
    ),
    "no set to evaluate on": (
        nothing,
        "cpu",
        {"evaluate": {"sets": {"gone": "gone.bin"}}, "train": EVALUATED},
        "none of the sets exists (data/gone.bin)",
    ),
    "a broken set": (a_broken_set, "cpu", {"evaluate": SETS, "train": EVALUATED}, "pairs.bin"),
    "a set without metadata": (
        a_set_without_metadata,
        "cpu",
        {"evaluate": {"sets": {"ijb": "ijb"}}, "train": EVALUATED},
        "metadata.pt",
    ),
    "a file in the place of the runs": (a_file_for_the_runs, "cpu", {}, "runs/run: cannot be written"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_the_command_refuses_check_refuses_for_the_same_reason(paired, asked, broken):  # noqa: F811
    breaks, device, sections, reason = BROKEN[broken]
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    breaks()
    checked, refused, left = asked(device, sections)
    assert f"MISSING: {reason}" in checked or reason in checked.partition("MISSING: ")[2], checked
    assert reason in refused
    assert left == []


def test_check_refuses_a_run_that_another_process_trains(paired, asked):  # noqa: F811
    with only_writer(Path("runs/run"), "a training"):
        checked, refused, _ = asked("cpu", {})
    assert "is at work on it" in checked
    assert "is at work on it" in refused


WHOLE: dict[str, tuple[Callable[[], None], dict[str, Any], str]] = {
    "a new run": (nothing, {}, "run            new"),
    "a finished run": (trained(), {}, "finished after step 8"),
    "other log lines": (trained(), {"train": {"log_every": 3}}, "finished after step 8"),
    "begun on a GPU that has bfloat16": (
        trained(precision="bfloat16"),
        {"train": {"precision": "auto"}},
        "finished after step 8",
    ),
    "one of two sets": (
        nothing,
        {"evaluate": {"sets": {**SETS["sets"], "gone": "gone.bin"}}, "train": EVALUATED},
        "for not being there: data/gone.bin",
    ),
    "learned centres alone": (
        without_cache,
        {"teacher": None, "head": {"margin": "arcface", "centers": "learned"}},
        "nothing is missing",
    ),
}


@pytest.mark.parametrize("whole", WHOLE)
def test_what_check_passes_starts(paired, asked, whole):  # noqa: F811
    prepare, sections, said = WHOLE[whole]
    prepare()
    checked, refused, left = asked("cpu", sections)
    assert said in checked
    assert "nothing is missing" in checked
    assert refused == ""
    assert left == []


def test_check_says_where_a_run_goes_on_and_how_long_it_takes(paired, asked, stop_at):  # noqa: F811
    stop_at(5, "run", train={"checkpoint_minutes": 1000})  # the newest checkpoint is of the first epoch's end
    checked, refused, _ = asked("cpu", {})
    assert "goes on at step 5" in checked
    assert "time" in checked
    assert "s a step; without evaluation" in checked
    assert refused == ""
