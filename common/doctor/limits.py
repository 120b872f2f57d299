"""What a process may have of its machine: cores, memory, shared memory, open files, maps, disk.

A container's cores and memory are limits of its cgroup (version 1 or 2), which `os.cpu_count` and /proc/meminfo do not
know.
"""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Version 1 writes no limit as a number near 2^63.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True)
class Limits:
    """Bytes, counts; None where the system does not say, or sets no limit."""

    cores: int  # of the machine
    cores_allowed: int  # this process may run on
    cores_quota: float | None  # of the cgroup
    memory: int | None
    memory_quota: int | None
    shared_memory: int | None
    open_files: int
    open_files_most: int
    maps: int | None
    disk: str
    disk_free: int


def limits_of(folder: Path = Path(".")) -> Limits:
    """The limits of this process, and of the disk that `folder` is on."""
    open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (sys.maxsize if limit == resource.RLIM_INFINITY else limit for limit in open_files)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shm = Path("/dev/shm")
    return Limits(
        cores=os.cpu_count() or 1,
        cores_allowed=allowed,
        cores_quota=cgroup_cores(),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        memory_quota=cgroup_memory(),
        shared_memory=shutil.disk_usage(shm).total if shm.is_dir() else None,
        open_files=soft,
        open_files_most=hard,
        maps=_number(Path("/proc/sys/vm/max_map_count")),
        disk=str(folder.absolute()),
        disk_free=shutil.disk_usage(folder).free,
    )


def cgroup_cores(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Cores' worth of time that this process's cgroups grant it, the least of all above it; None for no limit."""
    granted = []
    for folder in _folders(proc, mount, "cpu"):
        quota, period = (
            _words(folder / "cpu.max")
            or [
                *_words(folder / "cpu.cfs_quota_us"),
                *_words(folder / "cpu.cfs_period_us"),
            ]
            or ["max", "1"]
        )
        if quota.isdecimal() and period.isdecimal() and int(period):
            granted.append(int(quota) / int(period))
    return min(granted, default=None)


def cgroup_memory(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process's cgroups grant it, the least of all above it; None for no limit."""
    granted = []
    for folder in _folders(proc, mount, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            number = _number(folder / name)
            if number is not None and number < _NO_LIMIT:
                granted.append(number)
    return min(granted, default=None)


def _folders(proc: Path, mount: Path, controller: str) -> Iterator[Path]:
    """A process's folders of a controller: its own and all above, of both versions. In a container /proc may name a
    folder that is mounted as the root."""
    for line in _lines(proc):
        number, controllers, path = [*line.split(":", 2), "", "", ""][:3]
        if number == "0":
            roots = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            roots = [mount / controllers, mount / controller]
        else:
            continue
        for root in roots:
            own = root / path.strip("/")
            yield from (folder for folder in (own, *own.parents) if folder == root or root in folder.parents)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdecimal() else None
