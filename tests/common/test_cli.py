"""How commands end: the user's errors as one harmless line, ours with their traceback, and no reader ends the work."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result

from common.cli import Commands, overrides_option, show_plan
from common.errors import CacheError
from common.files import write_json
from common.plan import Plan

ROOT = Path(__file__).parents[2]


def run(action, *arguments: str) -> Result:
    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    def go() -> None:
        action()

    return CliRunner().invoke(main, arguments or ("go",))


def raising(error: Exception) -> Result:
    def action() -> None:
        raise error

    return run(action)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CacheError("caches/\x1b]0;x\x07/\udcff: gone\nput it back"), r"caches/\x1b]0;x\x07/\xff: gone\x0aput it back"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied: get this user the right"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), "out.csv: No space left on device: make room"),
        (OSError(errno.EMFILE, "Too many open files", b"x\xff"), r"x\xff: Too many open files: raise `ulimit -n`"),
        (FileExistsError(errno.EEXIST, "File exists", "out"), "out: File exists: something else stands there"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), "a: b: Invalid cross-device link: put"),
        (OSError("what a library says\nat length"), "what a library says: put that right"),
        (MemoryError(), "out of memory (MemoryError): close other programs"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "out of memory (CUDA out of memory. Tried): close"),
        (torch.OutOfMemoryError("no room"), "out of memory (no room): close other programs"),
        (RuntimeError("[x] DefaultCPUAllocator: can't allocate memory"), "out of memory ([x] DefaultCPUAllocator"),
    ],
)
def test_what_the_user_can_mend_is_one_line_without_anything_a_terminal_obeys(error, line):
    result = raising(error)
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: {line}")
    assert result.output.count("\n") == 1
    assert result.output.rstrip("\n").isprintable()


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("shape"), AssertionError("ours"), ValueError("x")])
def test_our_own_mistakes_keep_their_traceback(error):
    assert raising(error).exception is error


def test_a_command_of_a_hostile_name_is_refused_harmlessly():
    result = run(lambda: None, "\x1b[2J")
    assert result.exit_code == 2
    assert "\x1b" not in result.output


def test_a_real_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    assert f"{tmp_path}/out: File exists" in run(lambda: write_json(tmp_path / "out" / "a.json", 1)).output


def test_plans_are_harmless_and_printed_by_the_first_rank_alone(monkeypatch):
    plan = Plan("plan", facts=[("faces", "data/\x1b[31m")], missing=["x"])
    assert run(lambda: show_plan(plan)).output == "plan\n  faces  data/\\x1b[31m\n  MISSING: x\n"
    monkeypatch.setenv("RANK", "1")
    result = run(lambda: show_plan(plan))
    assert (result.output, result.exit_code) == ("", 2)


def test_the_first_of_several_ranks_to_fail_speaks(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        (tmp_path / str(rank)).mkdir()
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / str(rank) / "error.json"))
        result = raising(CacheError("gone"))
        assert (result.output, result.exit_code) == ("Error: gone\n" if rank else "", 2)
    for error in (RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer"), click.UsageError("x")):
        assert (raising(error).output, raising(error).exit_code) == ("", 2)
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    assert "another rank is gone (Connection reset by peer)" in raising(RuntimeError("Connection reset by peer")).output


def test_settings_in_one_text_are_split_as_a_shell_does():
    @click.group(cls=Commands)
    def main() -> None:
        pass

    @main.command()
    @overrides_option
    def go(overrides: tuple[str, ...]) -> None:
        click.echo(overrides)

    expected = ("a.b=x y", "c=1", "d=two words", "e=it's")
    given = ["go", "--set", "a.b=x y", "--sets", "c=1  d='two words' e=\"it's\""]
    assert CliRunner().invoke(main, given).output == f"{expected}\n"
    assert "write a.b=1 c.d='two words'" in CliRunner().invoke(main, ["go", "--sets", "a='b"]).output


WORK = """
import sys
from pathlib import Path
import click
from common.cli import Commands
from common.progress import progress

@click.group(cls=Commands)
def main():
    pass

@main.command()
def work():
    for step in range(3):
        print("step", step, flush=True)
        print("note", step, file=sys.stderr, flush=True)
        with progress("faces", 1) as advance:
            advance(1)
    click.echo("done")
    Path(sys.argv[0]).with_name("result").write_text("whole")

main()
"""


@pytest.mark.parametrize(("out", "err", "status"), [("closed", "closed", 0), ("full", "seen", 2)])
def test_work_outlives_its_readers_and_a_full_log_is_named(tmp_path, out, err, status):
    (tmp_path / "work.py").write_text(WORK)
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full:
        streams = {"closed": writing, "full": full, "seen": subprocess.PIPE}
        done = subprocess.run(
            [sys.executable, tmp_path / "work.py", "work"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=streams[out],
            stderr=streams[err],
            text=True,
            timeout=60,
        )
    os.close(writing)
    assert done.returncode == status
    assert (tmp_path / "result").exists() == (out == "closed")
    if err == "seen":
        assert done.stderr == "Error: standard output: No space left on device: " + (
            "make room on that disk and run again: what is finished stays\n"
        )
