"""Cold rows are asked of the disk together; rows in memory are not asked for at all."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.synthetic_store import write_unsealed
from cache.format import mapping, page_in
from cache.format.layout import Layout
from cache.format.page_in import page_ranges
from cache.reader import TeacherCache
from cache.seal import seal
from tests.cold_files import drop, resident, within

PAGE = mmap.PAGESIZE
ROWS, ROW_BYTES = 16384, 1024


@given(st.lists(st.integers(0, 30 * PAGE), max_size=20), st.integers(1, 3 * PAGE))
def test_ranges_are_the_pages_of_all_bytes_each_once(addresses, size):
    expected = {
        byte // PAGE for address in addresses for byte in (*range(address, address + size, PAGE), address + size - 1)
    }
    ranges = page_ranges(np.array(addresses, np.int64), size)
    pages = [start // PAGE + i for start, length in ranges.tolist() for i in range(length // PAGE)]
    assert pages == sorted(expected)
    assert all(length > 0 and start % PAGE == length % PAGE == 0 for start, length in ranges.tolist())
    assert (ranges[1:, 0] > ranges[:-1].sum(1)).all(), "neighbours are one range"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Sealed, of 16 MiB in one shard: sixteen times what a page fault reads around itself at most."""
    path = tmp_path_factory.mktemp("cold") / "store"
    write_unsealed(path, Layout(1, ROWS, ROW_BYTES // 2, 10, "float16", shard_rows=ROWS, chunk_rows=1024))
    seal(path)
    return path


def test_a_cold_gather_waits_for_few_pages_by_themselves_and_equals_a_warm_one(store):
    rows = np.random.default_rng(0).integers(0, ROWS, 300)
    expected = TeacherCache(store).gather(rows, 0)
    drop(store)
    cache = TeacherCache(store)
    before = page_in.resource.getrusage(page_in._ME).ru_majflt
    gathered = cache.gather(rows, 0)
    assert page_in.resource.getrusage(page_in._ME).ru_majflt - before < 10  # else about a hundred
    assert np.array_equal(gathered, expected)


def test_rows_are_asked_for_while_the_last_ones_came_from_the_disk(store, monkeypatch):
    asked = []
    monkeypatch.setattr(mapping, "ask_for", lambda addresses, size: asked.append(len(addresses)))
    reads = iter((0, 5, 5, 5, 5, 5, 5, 6, 6, 6))  # before and after each gather
    monkeypatch.setattr(mapping, "disk_reads", lambda: next(reads))
    cache = TeacherCache(store)
    for count in (1, 2, 3, 4, 5):
        cache.gather(np.arange(count), 0)
    assert asked == [1, 2, 5]


def test_announced_rows_come_into_memory_and_no_others(store):
    file = store / "embedding/c/0/0/0"
    drop(store)
    cache = TeacherCache(store)
    cache.announce(np.array([5000]), np.array([0]), confidence=False)
    place = 5000 * ROW_BYTES + 5000 // 1024 * 4
    assert within(5, lambda: resident(file, place))
    assert not resident(file, 12 << 20)
