"""A whole small experiment on disk, to be damaged; and commands run as a user would, each in a process of its own.

The process is a fork of the test's, which has torch imported already: a command takes tenths of a second, not five.
"""

import hashlib
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.config.file import toml_of
from common.faces.evaluation_sets import write_bin
from common.faces.pixels import encode_jpeg
from tests.tiny import DIM, experiment, portrait, write_faces

SECONDS = 30  # for one command; what takes longer hangs
SETTINGS = {
    "cache": {"shard_rows": 8, "chunk_rows": 4, "batch_size": 8, "check_teacher": False, "workers": 0},
    "train": {"epochs": 1, "batch_size": 8, "lr": 0.05, "lr_batch": 0, "workers": 0, "log_every": 1},
    "evaluate": {"sets": {"pairs": "pairs.bin"}, "teacher": False},
}


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status (negative: killed by that signal, None: it hung) and what it printed."""

    code: int | None
    printed: str


def run(folder: Path, command: str, *, before: Callable[[], None] | None = None) -> Outcome:
    """`python -m COMMAND` in `folder`; before: called in its process first, to set a limit."""
    reading, writing = os.pipe()  # no file: a limit on files' sizes must not silence the command

    def child() -> None:
        for stream in (1, 2):
            os.dup2(writing, stream)
        sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", encoding="utf-8") for stream in (1, 2))
        os.chdir(folder)
        os.environ |= {"SOURCE_DATE_EPOCH": "1700000000", "COLUMNS": "400", "HF_HUB_OFFLINE": "1"}
        stage, *arguments = command.split(" ")
        main = __import__(f"{stage}.__main__", fromlist=["main"]).main
        if before is not None:
            before()
        try:
            main([*arguments, "--threads", "1"] if takes_threads(main, arguments) else arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    os.close(writing)
    with ThreadPoolExecutor(1) as reader:
        printed = reader.submit(_all_of, reading)
        process.join(SECONDS)
        hung = process.is_alive()
        if hung:
            process.kill()
            process.join()
    return Outcome(None if hung else process.exitcode, printed.result().decode("utf-8", "backslashreplace"))


def _all_of(reading: int) -> bytes:
    """What is written into a pipe until its last writer is gone."""
    with open(reading, "rb") as file:
        return file.read()


def takes_threads(main, arguments: list[str]) -> bool:
    """Whether a command has the option: without it, it would take all cores of the machine."""
    command = main.commands.get(arguments[0])
    return command is not None and any("--threads" in parameter.opts for parameter in command.params)


def make_world(folder: Path) -> None:
    """Faces, a teacher, its sealed cache, a student trained from it, a pair set, embeddings and a report."""
    (folder / "data").mkdir(parents=True)
    write_faces(folder / "data" / "faces")
    for person in range(3):
        (folder / f"data/photos/{person}").mkdir(parents=True)
        for photo in range(3):
            (folder / f"data/photos/{person}/{photo}.jpg").write_bytes(encode_jpeg(portrait(person, photo)))
    write_teacher(folder / "data" / "tiny.onnx")
    people = [(pair, pair if pair % 2 == 0 else pair + 1) for pair in range(20)]
    pictures = [encode_jpeg(portrait(person, photo)) for pair in people for photo, person in enumerate(pair)]
    write_bin(folder / "data" / "pairs.bin", pictures, [a == b for a, b in people])
    (folder / "tiny.toml").write_text(toml_of(experiment(**SETTINGS)))
    for command in (
        "cache build --config tiny.toml",
        "distill train --config tiny.toml",
        "evaluate run --config tiny.toml",
        "evaluate embed --model runs/tiny/student.safetensors --on pairs=data/pairs.bin --out stored",
        "cache push --config tiny.toml --faces-licence none --teacher-licence none file://" + str(folder / "shared"),
    ):
        ended = run(folder, command)
        assert ended.code == 0, (command, ended.printed)


def write_teacher(path: Path) -> None:
    """Means of 8x8 blocks times one fixed matrix, as ONNX."""
    weight = np.random.default_rng(0).standard_normal((14 * 14 * 3, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["faces"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["blocks"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def copied(template: Path, to: Path) -> Path:
    shutil.copytree(template, to, symlinks=True)
    return to


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, other things with what they are; locks left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "no regular file"
        elif path.is_file() and not path.name.endswith(".lock") and ".claims/" not in f"{path}":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undamaged world, made once; to be copied."""
    folder = tmp_path_factory.mktemp("faults") / "world"
    make_world(folder)
    return folder


@pytest.fixture(scope="session")
def undamaged(template: Path) -> dict[str, str]:
    return contents(template)
