"""Who works on a folder, and on which part of it: files beside it that also tell machines on a shared disk apart.

    with at_work(cache, "a build", shared=True) as claims:
        if claims.take("view0-shard00003"): ...

The folder `.NAME.claims` beside NAME holds one file a process, its record, which that process writes again every few
seconds, and one symbolic link a claimed part, which names a record. A link is made whole or not at all on every file
system that has them, NFS and Lustre too, and the server says who came first.

A process is gone when its record says that it ended, when it was one of this machine and no longer runs, or when its
record does not change for `stale` seconds of watching. Nobody compares clocks.
"""

import errno
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from common.errors import UserError
from common.files import json_text, make_folder, naming
from common.writers.workers import Worker, died_here, parse_record, read_record, records, start_of, this_machine

STALE_SECONDS = 90.0
BEATS_UNTIL_STALE = 9
RECORD_BYTES = 1024  # always written in one call, so that nobody reads half a record
NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


class Claims:
    """This process among those that work on a folder; made by `at_work`.

    stale: seconds after which a process that shows no sign of life has lost what it claimed.
    """

    def __init__(self, target: Path, what: str, shared: bool, stale: float) -> None:
        self.target, self.stale = target, stale
        self.folder = claims_folder(target)
        host, now = socket.gethostname(), time.time()
        self.me = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
        self.worker = Worker(what, shared, host, this_machine(), os.getpid(), start_of(os.getpid()), now, now)
        self.pause = min(1.0, stale / (2 * BEATS_UNTIL_STALE))
        self._open: set[str] = set()
        self._watched: dict[str, tuple[bytes | None, float]] = {}
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._handle = -1
        self._heart = threading.Thread(target=self._beat, name="claims", daemon=True)

    def begin(self) -> None:
        """Appear among the workers, and go on being seen."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with naming(self.target):
            while self._handle < 0:
                make_folder(self.folder)
                with suppress(FileNotFoundError):  # the last one has just taken the empty folder away
                    self._handle = os.open(self.folder / self.me, flags, 0o666)
            self._write()
        self._heart.start()

    def end(self) -> None:
        """Be seen to have ended. What was claimed and is not done is free; where nothing was done, nothing is left."""
        self._over.set()
        if self._heart.ident is not None:
            self._heart.join()
        if self._handle < 0:
            return
        self.worker.ended = True
        with suppress(OSError):
            self._write()
        os.close(self._handle)
        self._handle = -1
        with suppress(OSError):
            for name in self._open:
                if self.holds(name):
                    (self.folder / name).unlink(missing_ok=True)
            if self.me not in claimed_parts(self.target).values():
                (self.folder / self.me).unlink(missing_ok=True)
                self.folder.rmdir()

    def share(self, what: str) -> None:
        """Go on as one of many."""
        self.worker.what, self.worker.shared = what, True
        self._write()

    def take(self, name: str) -> bool:
        """Claim a part, from nobody or from a process that is gone; whether it is this process's now."""
        if taken := self._take(name):
            self._open.add(name)
        return taken

    def done(self, name: str) -> None:
        """What was claimed is done. The claim stays, so that nobody who hears of it late does it again."""
        self._open.discard(name)

    def holds(self, name: str) -> bool:
        """Whether a part is this process's still: one that slept may have been thought gone."""
        return self.owner(name) == self.me

    def owner(self, name: str) -> str | None:
        """The name of the record that has claimed a part; None for no one."""
        try:
            return os.readlink(self.folder / name)
        except OSError:
            return None

    def done_elsewhere(self, name: str) -> bool:
        """Whether another machine's process has claimed a part and ended since, which leaves it only what is done."""
        owner = self.owner(name)
        worker = parse_record(read_record(self.folder / owner)) if owner else None
        return worker is not None and worker.ended and worker.machine != self.worker.machine

    def gone(self, owner: str) -> bool:
        """Whether a process will not come back for what it claimed. Each call looks once and waits for nothing."""
        if owner == self.me:
            return False
        content = read_record(self.folder / owner)
        worker = parse_record(content)
        if worker is not None and (worker.ended or died_here(worker)):
            return True
        before, since = self._watched.get(owner, (b"never seen", 0.0))
        if content != before:
            self._watched[owner] = content, time.monotonic()
            return False
        return time.monotonic() - since > self.stale

    def refuse_others(self) -> None:
        """Raise UserError naming another process that is at work here and cannot share with this one.

        Records of other machines are watched until they change, or go stale.
        """
        unknown = {name: None for name in records(self.folder) if name != self.me}
        first: dict[str, bytes | None] = {}
        while unknown:
            for name in list(unknown):
                content = read_record(self.folder / name)
                worker = parse_record(content)
                fits = worker is not None and worker.shared and self.worker.shared
                if content is None or fits or self.gone(name):
                    del unknown[name]
                elif worker is not None and (
                    worker.machine == self.worker.machine or content != first.setdefault(name, content)
                ):
                    raise UserError(f"{self.target}: {worker} is at work on it: wait for it, or stop it")
            if unknown:
                time.sleep(self.pause)

    def clear(self) -> None:
        """Remove every claim, and the records of processes that are gone: what they were for is done, or nobody's."""
        with suppress(FileNotFoundError):  # of one that slept while others finished everything
            for name in sorted(os.listdir(self.folder)):
                path = self.folder / name
                if path.is_symlink() or self.gone(name):
                    path.unlink(missing_ok=True)

    def _take(self, name: str) -> bool:
        claim = self.folder / name
        if self._link(claim):
            return True
        owner = self.owner(name)
        if owner is None or not self.gone(owner):
            return owner == self.me
        aside = self.folder / f".{name}.{secrets.token_hex(4)}"
        try:
            os.rename(claim, aside)
            if os.readlink(aside) != owner:  # somebody was quicker: theirs it stays
                os.rename(aside, claim)
                return False
            os.unlink(aside)
        except FileNotFoundError:
            return False
        return self._link(claim)

    def _link(self, claim: Path) -> bool:
        try:
            os.symlink(self.me, claim)
        except FileExistsError:
            return self.owner(claim.name) == self.me  # a server may answer a request that it has done already
        except FileNotFoundError:  # whoever finished the work has cleared all claims away
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            raise UserError(
                f"{self.folder}: this file system has no symbolic links ({error.strerror}), by which processes share "
                "work: put the folder on another one"
            ) from error
        return True

    def _beat(self) -> None:
        while not self._over.wait(self.stale / BEATS_UNTIL_STALE):
            with suppress(OSError):  # a full disk: others may take over, which costs time and nothing else
                self._write()

    def _write(self) -> None:
        with self._writing:
            self.worker.beat += 1
            self.worker.seen = time.time()
            os.pwrite(self._handle, json_text(asdict(self.worker)).encode().ljust(RECORD_BYTES), 0)
            os.fsync(self._handle)  # a network disk sends it now


@contextmanager
def at_work(target: Path, what: str, shared: bool = False, stale: float = STALE_SECONDS) -> Iterator[Claims]:
    """Work on a folder, which need not exist yet: alone, or with others that share.

    what: what this process does, as a refusal of others names it ("a build"). Raises UserError naming machine and
    process of whoever excludes it.
    """
    claims = Claims(target, what, shared, stale)
    try:
        claims.begin()
        claims.refuse_others()
        if not shared:
            claims.clear()
        yield claims
    finally:
        claims.end()


def claims_folder(target: Path) -> Path:
    """Where the claims on a folder lie."""
    return target.with_name(f".{target.name}.claims")


def workers_of(target: Path) -> dict[str, Worker]:
    """The records of processes that have not ended, by name; of those that were killed too, until others notice."""
    found = {name: parse_record(read_record(claims_folder(target) / name)) for name in records(claims_folder(target))}
    return {
        name: worker
        for name, worker in found.items()
        if worker is not None and not worker.ended and not died_here(worker)
    }


def claimed_parts(target: Path) -> dict[str, str]:
    """Claimed part -> the name of its owner's record."""
    folder = claims_folder(target)
    try:
        with os.scandir(folder) as entries:
            links = [entry.name for entry in entries if entry.is_symlink() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return {}
    found = {}
    for name in links:
        with suppress(OSError):
            found[name] = os.readlink(folder / name)
    return found
