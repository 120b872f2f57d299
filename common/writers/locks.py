"""One writer of a folder at a time: a lock that says who has it and that a dead owner cannot keep."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import UserError
from common.files import naming

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # of disks mounted without locks: Lustre, NFS, some of FUSE

_held: set[int] = set()


def _let_go() -> None:
    """A forked worker outlives a killed parent by seconds; it must not keep the parent's locks for as long."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def only_writer(folder: Path, what: str) -> Iterator[None]:
    """Hold `folder`'s lock, the file `.NAME.lock` beside it, which need not exist yet itself.

    what: what its holder does, as a refusal of others names it ("a build"). The kernel frees the lock with its process,
    so none goes stale. Raises UserError naming holder, machine and process while another has it, and where the disk
    has no locks.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.with_name(f".{folder.name}.lock")
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    _held.add(handle)
    try:
        _lock(folder, handle, fcntl.LOCK_EX)
        with naming(file):
            os.truncate(handle, 0)
            os.pwrite(handle, f"{what} (process {os.getpid()} on {socket.gethostname()})".encode(), 0)
        yield
        if handle in _held:
            os.truncate(handle, 0)
    finally:
        if handle in _held:
            _held.discard(handle)
            os.close(handle)


def refuse_busy(folder: Path) -> None:
    """Raises UserError while another process holds `folder`'s lock, or locks do not work; takes and writes nothing."""
    try:
        handle = os.open(folder.with_name(f".{folder.name}.lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _lock(folder, handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _lock(folder: Path, handle: int, how: int) -> None:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        raise UserError(f"{folder}: {holder} is at work on it: wait for it, or stop it") from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(
            f"{folder}: this file system does not lock files ({error.strerror}), so nothing would keep a second writer "
            "away: put the folder on a local disk, or mount this one with locks (Lustre: -o flock; NFS 3: start lockd)"
        ) from error
