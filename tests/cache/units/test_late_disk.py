"""Machines on a disk that shows late what others have made build the same bytes, and none waits for ever."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tests.cache.units.test_many_processes import CACHE, Teacher, build_here, end, whole  # noqa: F401
from tests.late_disk import LateDisk
from tests.tiny import tree

FORK = multiprocessing.get_context("fork")
LATE = 0.9  # seconds, for what is 3 to 60 with NFS


def work(number: int, folders: bool, hidden, late: float = LATE, looked=None, go_on=None) -> None:
    """One machine's process: its own name for the machine, its own view of the disk.

    go_on: waited for after it has looked and found nothing.
    """
    import cache.units.open_units
    import common.writers.claims

    common.writers.claims.this_machine = lambda: f"machine {number}"
    cache.units.open_units.VISIBLE_SECONDS = 4 * LATE
    disk = LateDisk("caches", late, folders)
    disk.begin()
    if go_on is not None:
        assert not CACHE.exists()
        assert os.listdir("caches") == []
        looked.set()
        go_on.wait()
    build_here(Teacher(lambda call: time.sleep(0.05)), stale=4.0)  # looks every 0.2 s
    hidden[number] = disk.hidden
    os._exit(0)


@pytest.mark.parametrize("folders", [False, True], ids=["listings are fresh", "listings are late too"])
def test_machines_that_see_each_others_files_late_make_the_same_bytes(whole, folders):  # noqa: F811
    Path("caches").mkdir()
    hidden = FORK.Array("i", 3)  # how much is late is the moment's; of a whole build: the next test
    machines = [FORK.Process(target=work, args=(number, folders, hidden)) for number in range(3)]
    for machine in machines:
        machine.start()
    assert end(*machines) == [0, 0, 0]
    assert tree(CACHE) == whole


def test_a_machine_to_which_a_whole_build_is_late_makes_no_second_one(whole):  # noqa: F811
    Path("caches").mkdir()
    hidden, looked, go_on = FORK.Array("i", 1), FORK.Event(), FORK.Event()
    late = FORK.Process(target=work, args=(0, True, hidden, 60.0, looked, go_on))
    late.start()
    assert looked.wait(30)
    build_here()
    go_on.set()
    assert end(late) == [0]
    assert tree(CACHE) == whole
    assert [path.name for path in Path("caches").iterdir()] == ["tiny"]
    assert hidden[0] > 0
