"""Writing that a kill or a power cut cannot leave half done, and digests of what was written."""

import errno
import hashlib
import json
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; it takes the place of `path`, on the disk, when the block ends well.

    Who may read the file is for the umask to say, whatever the writer thinks. OSErrors carry `path`.
    """
    temporary = temporary_of(path)
    with naming(path):
        make_folder(path.parent)
        try:
            temporary.unlink(missing_ok=True)
            mode = _create(temporary)
            yield temporary
            temporary.chmod(mode)
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_of(path: Path) -> Path:
    """The name this process writes `path` under; containers on a shared disk often have equal process numbers."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.tmp")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say of which file an error is: of a full disk the system does not, and libraries say it in their own words."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise
    except Exception as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(number) in str(error) and not isinstance(error, UserError):
                raise OSError(number, os.strerror(number), os.fspath(path)) from error
        raise


def appears(path: Path) -> bool:
    """Whether something is there, also where a network disk still remembers that nothing was: its folder is listed."""
    return path.exists() or (path.parent.is_dir() and path.name in os.listdir(path.parent))


def make_folder(folder: Path) -> None:
    """Make a folder and its parents; each is on the disk before anything is put into it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _create(path: Path) -> int:
    """Make an empty file, following no link; its permissions."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        return stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any, sort_keys: bool = True) -> None:
    """Write JSON, keys sorted if not told otherwise, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json_text(value, sort_keys), encoding="utf-8")


def json_text(value: Any, sort_keys: bool = True) -> str:
    """The text `write_json` writes: the same for equal values."""
    return json.dumps(value, indent=1, sort_keys=sort_keys) + "\n"


def make_fresh(folder: Path) -> None:
    """Make an empty folder where a killed predecessor may have left one of that name; a link there is not followed."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def sync_tree(folder: Path) -> None:
    """Wait until every file and folder below `folder`, and the folder itself, is on the disk."""
    for parent, _, files in os.walk(folder):
        for file in files:
            sync(Path(parent, file))
        sync(Path(parent))


def sync(path: Path) -> None:
    """Wait until a file (or a folder's entries) is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
