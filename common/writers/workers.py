"""The record a process keeps of itself beside the folder it works on, and whether that process still lives."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

LARGEST_RECORD = 1 << 16


@dataclass
class Worker:
    """The record of a process. since, seen: seconds of its own clock, for people to read. done: whatever it counts."""

    what: str
    shared: bool
    host: str
    machine: str
    pid: int
    started: str
    since: float
    seen: float
    beat: int = 0
    done: int = 0
    ended: bool = False

    def __str__(self) -> str:
        return f"{self.what} (process {self.pid} on {self.host})"


_WORKER = TypeAdapter(Worker)


def records(folder: Path) -> list[str]:
    """Names of all records in a folder of claims."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False))
    except FileNotFoundError:
        return []


def read_record(record: Path) -> bytes | None:
    """Its bytes, asked of the server and no cache; None when it cannot be read."""
    try:
        with open(os.open(record, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            return file.read(LARGEST_RECORD)
    except OSError:
        return None


def parse_record(content: bytes | None) -> Worker | None:
    """None for half a record, or none."""
    try:
        return _WORKER.validate_json(content or b"")
    except ValidationError:
        return None


def died_here(worker: Worker) -> bool:
    """Whether it was a process of this machine that runs no longer."""
    return worker.machine == this_machine() and start_of(worker.pid) != worker.started


def this_machine() -> str:
    """Where process numbers mean the same: one boot of one machine, or of one container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def start_of(pid: int) -> str:
    """When a process of this machine began, which tells it from a later one of its number; "" when it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):  # the latter where it ended after its file was opened
        pass
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "unknown"
