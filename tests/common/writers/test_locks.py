"""One writer of a folder at a time, named to whoever comes second, and no lock that outlives its holder."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from common.writers.locks import only_writer, refuse_busy

HOLDER = """
import sys, time
from pathlib import Path
from common.writers import only_writer
with only_writer(Path(sys.argv[1]), "a build"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_has_the_folder_until_that_one_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"cache: a build \(process {holder.pid} on .*\) is at work"):
            only_writer(folder, "a repair").__enter__()
    finally:
        holder.kill()
        holder.wait()
    with only_writer(folder, "a repair"):
        pass


FORKING = """
import os, sys, time
from pathlib import Path
from common.writers import only_writer
with only_writer(Path(sys.argv[1]), "a training"):
    if os.fork() == 0:
        print("held", flush=True)  # by the child: from now on it has let go
        time.sleep(3)
        os._exit(0)
    time.sleep(60)
"""


def test_a_forked_worker_that_outlives_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", FORKING, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.wait()
    with only_writer(tmp_path / "run", "a training"):
        pass


def test_a_link_planted_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    os.symlink(tmp_path / "victim", tmp_path / ".cache.lock")
    with pytest.raises(OSError, match=r"symbolic link|loop"), only_writer(tmp_path / "cache", "a build"):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_told_from_another_process(tmp_path, monkeypatch, number):
    def unsupported(handle: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / ".run.lock").touch()
    monkeypatch.setattr(fcntl, "flock", unsupported)
    for take in (
        lambda: only_writer(tmp_path / "run", "a training").__enter__(),
        lambda: refuse_busy(tmp_path / "run"),
    ):
        with pytest.raises(UserError) as refused:
            take()
        line = str(refused.value)
        assert line.startswith(f"{tmp_path}/run: this file system does not lock files ({os.strerror(number)})")
        assert "put the folder on a local disk" in line
        assert "is at work" not in line
        assert "\n" not in line


def test_any_other_error_of_the_lock_is_the_systems_own(tmp_path, monkeypatch):
    def broken(handle: int, how: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), only_writer(tmp_path / "run", "a training"):
        pass
