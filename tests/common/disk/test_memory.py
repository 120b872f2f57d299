"""The memory that page cache may fill is the machine's, or the least that a cgroup above the process leaves."""

import pytest

from common.disk import memory

MACHINE = 1000 * 1024
UNLIMITED = 9223372036854771712


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Callable: cgroups of this process as lines, and files of the cgroups' tree with their content."""
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 1000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS_OF_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "fs")

    def of(groups: str, **folders: tuple[object, int, int]) -> int:
        (tmp_path / "cgroup").write_text(groups)
        for folder, (limit, used, cached) in folders.items():
            path = tmp_path / "fs" / folder
            path.mkdir(parents=True, exist_ok=True)
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            names = names if folder.startswith("memory") else ("memory.max", "memory.current", "")
            (path / names[0]).write_text(f"{limit}\n")
            (path / names[1]).write_text(f"{used}\n")
            (path / "memory.stat").write_text(
                f"file 99\n{names[2]}active_file {cached - 1}\n{names[2]}inactive_file 1\n"
            )
        return memory.available_bytes()

    return of


def test_without_a_limit_it_is_the_machines(machine):
    assert machine("0::/a\n", a=("max", 10**9, 0)) == MACHINE
    assert machine("4:memory:/a\n", **{"memory/a": (UNLIMITED, 10**9, 0)}) == MACHINE
    assert machine("3:cpu:/a\n") == MACHINE


def test_a_limit_leaves_what_is_not_used_and_what_is_page_cache(machine):
    assert machine("0::/a\n", a=(5000, 4000, 300)) == 1300
    assert machine("7:cpu,memory:/a\n", **{"memory/a": (6000, 5500, 100)}) == 600


def test_the_least_of_all_cgroups_above_counts(machine):
    assert machine("0::/a/b\n", **{"a/b": (9000, 0, 0), "a": (7000, 6000, 0), "a/other": (1, 1, 0)}) == 1000


def test_a_container_that_does_not_see_its_path_counts_the_root_it_sees(machine):
    assert machine("4:memory:/docker/0123\n", memory=(4000, 1000, 0)) == 3000


def test_an_exceeded_limit_and_a_system_that_says_nothing_leave_nothing(machine, monkeypatch, tmp_path):
    assert machine("0::/a\n", a=(1000, 4000, 300)) == 0
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    assert machine("0::/\n") == 0


def test_this_machine_has_memory():
    with open("/proc/meminfo") as file:
        total = 1024 * int(file.readline().split()[1])
    assert 0 < memory.available_bytes() < total
