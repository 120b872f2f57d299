"""How much more memory this process may fill, page cache included: the machine's, or less where a cgroup says so."""

import sys
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUPS_OF_PROCESS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
# Limit, use, and what the lines of memory.stat begin with that are the page cache's part of that use, of cgroups of
# versions 2 and 1. Their `file` and `cache` count shared memory, too, which makes no room by itself.
_VERSION_2 = ("memory.max", "memory.current", "")
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def available_bytes() -> int:
    """Bytes that could be filled without taking memory from any program; 0 where the system does not say.

    Page cache in use counts as available, since it makes room by itself.
    """
    return max(0, min([_of_machine(), *(_of_group(folder, *names) for folder, names in _groups())]))


def _of_machine() -> int:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(found[0]) if found else 0


def _groups() -> list[tuple[Path, tuple[str, str, str]]]:
    """Every folder whose limits hold for this process, its own cgroups and those above them, with the files' names.

    In a container the kernel may name a path that only the host sees: the mounted root is the container's own then.
    """
    try:
        lines = _GROUPS_OF_PROCESS.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            roots, names = [_GROUPS, _GROUPS / "unified"], _VERSION_2
        elif "memory" in controllers.split(","):
            roots, names = [_GROUPS / "memory"], _VERSION_1
        else:
            continue
        for root in roots:
            own = root / path.lstrip("/")
            found += [(folder, names) for folder in (own, *own.parents) if folder == root or root in folder.parents]
    return found


def _of_group(folder: Path, limit: str, use: str, prefix: str) -> int:
    """What a cgroup leaves; no bound where it has no limit."""
    try:
        allowed, used = (folder / limit).read_text().strip(), int((folder / use).read_text())
        if allowed == "max":
            return sys.maxsize
        counts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(allowed) - used + sum(int(counts[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
    except (OSError, ValueError, KeyError):
        return sys.maxsize
