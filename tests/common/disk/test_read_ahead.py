"""What fits into memory is read ahead once; what does not is announced; nothing of it can fail."""

import threading
from pathlib import Path

import pytest

from common.disk import Group, ReadAhead, Stretch, read_ahead
from common.disk.stretches import in_memory, pieces
from common.errors import DataError
from tests.cold_files import drop, resident, within

SIZE = 3 << 20


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def announced() -> list[int]:
    return []


def whole(file: Path) -> list[Stretch]:
    return [Stretch(file, 0, file.stat().st_size)]


def group(file: Path, announced: list[int]) -> Group[int]:
    return Group("faces", lambda: whole(file), announced.append)


def ended(reading: ReadAhead) -> bool:
    return within(5, lambda: not reading._thread.is_alive())


def test_pieces_are_the_same_bytes(tmp_path):
    stretches = [Stretch(tmp_path / "a", 3, 10), Stretch(tmp_path / "b", 0, 0), Stretch(tmp_path / "c", 7, 4)]
    cut = list(pieces(stretches, 4))
    assert [(piece.file.name, piece.start, piece.size) for piece in cut] == [
        ("a", 3, 4),
        ("a", 7, 4),
        ("a", 11, 2),
        ("c", 7, 4),
    ]


def test_in_memory_is_what_was_read_and_is_not_what_was_dropped(file, tmp_path):
    file.read_bytes()
    assert in_memory(whole(file))
    drop(file)
    assert not in_memory(whole(file))
    drop(file)
    middle = Stretch(file, SIZE // 2, 64 << 10)
    with open(file, "rb") as opened:
        opened.seek(middle.start)
        opened.read(middle.size)
    assert in_memory([middle])
    assert not in_memory([Stretch(file, 0, 64 << 10)])
    assert not in_memory([middle, Stretch(file, SIZE - (64 << 10), 64 << 10)])
    assert not in_memory([Stretch(tmp_path / "gone", 0, 5)])
    assert in_memory([])


def test_a_cold_file_is_read_whole_and_said_once(file, announced):
    drop(file)
    reading = ReadAhead([group(file, announced)])
    reading.tell(1)
    assert ended(reading)
    assert in_memory(whole(file))
    (line,) = reading.news()
    assert line.startswith("faces read ahead into memory: 3.0 MiB in ")
    assert list(reading.news()) == []


def test_a_file_in_memory_is_left_alone_in_silence(file, announced):
    file.read_bytes()
    reading = ReadAhead([group(file, announced)])
    reading.tell(1)
    assert ended(reading)
    assert (list(reading.news()), announced) == ([], [])


def test_what_does_not_fit_is_announced_and_not_read(file, announced, monkeypatch):
    drop(file)
    monkeypatch.setattr(read_ahead, "available_bytes", lambda: int(SIZE / read_ahead.SHARE_OF_MEMORY) - 10)
    reading = ReadAhead([group(file, announced)])
    for number in (1, 2, 3):
        reading.tell(number)
    assert within(5, lambda: announced == [1, 2, 3])
    reading.tell(4)
    assert within(5, lambda: announced == [1, 2, 3, 4])
    assert not resident(file, SIZE // 2)
    reading.close()
    assert not reading._thread.is_alive()
    assert list(reading.news()) == []


def test_the_first_group_that_fits_is_read_and_the_other_announced(file, tmp_path, announced, monkeypatch):
    rows = tmp_path / "rows"
    rows.write_bytes(bytes(1 << 20))
    drop(file, rows)
    monkeypatch.setattr(read_ahead, "available_bytes", lambda: int((SIZE + 10) / read_ahead.SHARE_OF_MEMORY))
    of_rows: list[int] = []
    reading = ReadAhead([Group("rows", lambda: whole(rows), of_rows.append), group(file, announced)])
    reading.tell(1)
    assert within(5, lambda: in_memory(whole(rows)) and bool(reading._news))
    reading.tell(2)
    assert within(5, lambda: announced == [1, 2])
    assert not resident(file, SIZE // 2)
    assert 2 not in of_rows
    reading.close()


def test_processes_of_a_machine_read_a_part_each(file, monkeypatch):
    monkeypatch.setattr(read_ahead, "PIECE", SIZE // 4)
    read: list[list[int]] = [[], []]
    for part in (0, 1):
        drop(file)
        monkeypatch.setattr(read_ahead, "_read", lambda piece, buffer, part=part: read[part].append(piece.start))
        reading = ReadAhead([group(file, [])], part, 2)
        reading.tell(1)
        assert ended(reading)
    assert read == [[0, SIZE // 2], [SIZE // 4, 3 * SIZE // 4]]


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), DataError("damaged")])
def test_an_error_ends_the_reading_ahead_of_its_group_alone(file, announced, error):
    def failing(*_: object) -> list[Stretch]:
        raise error

    drop(file)
    cut = Stretch(file, SIZE - 1, 1 << 20)  # a file that is shorter than it was
    gone = Stretch(file.with_name("gone"), 0, 10)
    groups = [
        Group("lost", failing, announced.append),
        Group("unknown", lambda: whole(file), failing),
        Group("faces", lambda: [cut, gone, *whole(file)], announced.append),
    ]
    reading = ReadAhead(groups)
    reading.tell(1)
    assert ended(reading)
    assert in_memory(whole(file))
    assert announced == [1]


def test_nothing_runs_before_it_is_told_of_anything(file, announced):
    reading, threads = ReadAhead([group(file, announced)]), threading.active_count()
    assert threading.active_count() == threads
    reading.close()
    reading.tell(1)
    assert threading.active_count() == threads


def test_long_reading_is_said_once_on_the_way(monkeypatch):
    clock = iter((0.0, 1.0, 6.0, 7.0, 20.0))
    monkeypatch.setattr(read_ahead.time, "monotonic", lambda: next(clock))
    pace = read_ahead._Pace("rows and faces", 40 << 30)
    said = [pace.going(10 << 30) for _ in range(3)]
    assert said == [[], ["reading rows and faces ahead: 20.0 GiB of 40.0 GiB, 6 s left"], []]
    assert pace.done() == "rows and faces read ahead into memory: 40.0 GiB in 20.0 s (2.0 GiB/s)"
