"""Claims on parts of a folder: one owner each, taken over from the dead and from nobody else."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from common.errors import UserError
from common.writers import workers
from common.writers.claims import Claims, at_work, claimed_parts, claims_folder, workers_of

FORK = multiprocessing.get_context("fork")
STALE = 0.45


def other(folder: Path, **changes) -> Claims:
    """A process of another machine, which beats as long as it is not ended."""
    claims = Claims(folder, "a build", shared=True, stale=STALE)
    claims.worker.machine, claims.worker.host = "another", "node7"
    for name, value in changes.items():
        setattr(claims.worker, name, value)
    claims.begin()
    return claims


def silence(claims: Claims) -> None:
    """As if its machine had lost its power."""
    claims._over.set()
    claims._heart.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_of_many_that_want_a_part_one_gets_it(folder):
    with at_work(folder, "a build", shared=True) as first, at_work(folder, "a build", shared=True) as second:
        wanted = [f"part{number}" for number in range(20)]
        assert [first.take(name) for name in wanted[:10]] == [True] * 10
        assert [second.take(name) for name in wanted] == [False] * 10 + [True] * 10
        assert first.take("part0")
        assert set(claimed_parts(folder).values()) == {first.me, second.me}
    assert not claims_folder(folder).exists()


def test_a_living_process_of_another_machine_keeps_its_claim_however_long(folder):
    owner = other(folder)
    assert owner.take("part")
    with at_work(folder, "a build", shared=True, stale=STALE) as claims:
        until = time.monotonic() + 3 * STALE
        while time.monotonic() < until:
            assert not claims.take("part")
            time.sleep(0.02)
    assert owner.holds("part")
    owner.end()


def test_a_silent_one_loses_it_after_the_stated_time_and_not_before(folder):
    owner = other(folder)
    owner.take("part")
    silence(owner)
    with at_work(folder, "a build", shared=True, stale=STALE) as claims:
        began = time.monotonic()
        while not claims.take("part"):
            time.sleep(0.02)
        assert time.monotonic() - began >= STALE
        assert claims.holds("part")
        assert not owner.holds("part")
    owner.end()


def test_clocks_that_differ_by_years_change_nothing(folder):
    owner = other(folder)
    owner.take("part")
    record = claims_folder(folder) / owner.me
    os.utime(record, (0, 0))
    with at_work(folder, "a build", shared=True, stale=STALE) as claims:
        assert not claims.take("part")
    owner.end()


def test_a_killed_process_of_this_machine_loses_its_claims_at_once(folder):
    def work() -> None:
        claims = Claims(folder, "a build", shared=True, stale=90)
        claims.begin()
        claims.take("part")
        os.kill(os.getpid(), signal.SIGKILL)

    killed = FORK.Process(target=work)
    killed.start()
    killed.join()
    with at_work(folder, "a build", shared=True) as claims:
        assert claims.take("part")
        assert [worker.pid for worker in workers_of(folder).values()] == [os.getpid()]


def test_who_ends_keeps_what_is_done_and_leaves_the_rest(folder):
    with at_work(folder, "a build", shared=True) as claims:
        claims.take("done")
        claims.done("done")
        claims.take("begun")
    assert claimed_parts(folder) == {"done": claims.me}
    assert workers_of(folder) == {}


def test_done_by_another_machine_is_told_from_done_here(folder):
    owner = other(folder)
    owner.take("part")
    owner.done("part")
    with at_work(folder, "a build", shared=True, stale=STALE) as claims:
        assert not claims.done_elsewhere("part")
        owner.end()
        assert claims.done_elsewhere("part")
        claims.take("own")
        assert not claims.done_elsewhere("own")


@pytest.mark.parametrize("shared", [True, False])
def test_a_lone_worker_and_others_exclude_each_other_also_over_machines(folder, shared):
    owner = other(folder, shared=shared)
    with (
        pytest.raises(UserError, match=rf"cache: a build \(process {os.getpid()} on node7\) is at work on it"),
        at_work(folder, "a repair", shared=not shared, stale=STALE),
    ):
        pass
    assert list(workers_of(folder)) == [owner.me]
    silence(owner)
    with at_work(folder, "a repair", stale=STALE):
        assert claimed_parts(folder) == {}
    assert not claims_folder(folder).exists()


def test_of_two_that_find_the_same_dead_owner_one_takes_over(folder, monkeypatch):
    """The slower one has moved away what the quicker one had just made, and puts it back."""
    owner = other(folder)
    owner.take("part")
    owner.worker.ended = True
    silence(owner)
    owner._write()
    with at_work(folder, "a build", shared=True) as quick, at_work(folder, "a build", shared=True) as slow:
        rename = os.rename

        def late(source, target):
            monkeypatch.setattr(os, "rename", rename)
            assert quick.take("part")
            rename(source, target)

        monkeypatch.setattr(os, "rename", late)
        assert not slow.take("part")
        assert quick.holds("part")


def test_half_a_record_is_a_living_process_until_it_is_stale(folder):
    claims_folder(folder).mkdir()
    (claims_folder(folder) / "half").write_text(json.dumps({"what": "a"})[:5])
    with at_work(folder, "a repair", stale=STALE):
        assert not (claims_folder(folder) / "half").exists()


def test_a_process_that_ends_while_it_is_looked_at_is_no_more(monkeypatch):
    def ended(self) -> str:
        raise ProcessLookupError(3, "No such process")  # read(2) of /proc/PID/stat after its end

    monkeypatch.setattr(workers.Path, "read_text", ended)
    assert workers.start_of(os.getpid()) == ""
