"""What is written is whole, on the disk, readable for whom the umask says, and named when it cannot be written."""

import errno
import os
from pathlib import Path

import pytest
import torch

from common.files import make_folder, naming, replacing, temporary_of, write_json
from common.models.tensor_files import write_tensors

WRITERS = {
    "json": lambda path: write_json(path, {"a": 1}),
    "safetensors": lambda path: write_tensors(path, {"a": torch.zeros(3)}, {}),
}


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0o027], indirect=True)
@pytest.mark.parametrize("writer", WRITERS)
def test_the_umask_says_who_may_read(tmp_path, umask, writer):
    path = tmp_path / "new" / "a.safetensors"
    for _ in range(2):  # new, and in place of another
        WRITERS[writer](path)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert path.parent.stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_temporary_name_that_is_a_link_is_not_followed(tmp_path):
    foreign, path = tmp_path / "foreign", tmp_path / "a.json"
    foreign.write_text("mine")
    temporary_of(path).symlink_to(foreign)
    write_json(path, 3)
    assert foreign.read_text() == "mine"
    assert not path.is_symlink()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_file_and_folders_are_on_the_disk_in_the_order_that_a_power_cut_needs(tmp_path, monkeypatch):
    calls: list[tuple[str, Path]] = []
    rename = os.replace
    monkeypatch.setattr("common.files.sync", lambda path: calls.append(("sync", path)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append(("replace", Path(b))), rename(a, b)))
    path = tmp_path / "x" / "y" / "a.json"
    write_json(path, 1)
    temporary = temporary_of(path)
    folders = [("sync", tmp_path), ("sync", tmp_path / "x")]
    assert calls == [*folders, ("sync", temporary), ("replace", path), ("sync", path.parent)]


def test_a_failed_write_leaves_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)

    def half(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as error, replacing(path) as temporary:
        half(temporary)
    assert error.value.filename == str(path)
    assert path.read_text() == "1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_what_libraries_say_of_a_full_disk_is_an_oserror_of_that_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as error, naming(tmp_path / "x"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(tmp_path / "x"))
    with pytest.raises(RuntimeError, match="other"), naming(tmp_path / "x"):
        raise RuntimeError("other")


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").write_text("file")
    with pytest.raises(FileExistsError) as error:
        make_folder(tmp_path / "a" / "b")
    assert error.value.filename == str(tmp_path / "a")
