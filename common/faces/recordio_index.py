"""Where each record of a RecordIO file starts: the text `.idx`, read fast and kept small.

A line is `key<TAB>byte offset`, in the order of writing. MS1MV2's index has 5.9 million lines (115 MB of text).
Its neighbouring lines have the same width, so blocks of them are parsed column by column, eight digits in three
multiplications, and consecutive keys are kept as runs: only the offsets (8 bytes a record) stay in memory. An index
in random order has no runs: it needs a sort and 48 bytes a record.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from common.errors import DataError
from common.faces.random_access import RandomAccessFile

LINES = re.compile(rb"(?:\d{1,18}\t\d{1,18}\r?\n)*")
SHORTEST_LINE = len(b"0\t0\n")
DIGITS = 18  # of a number at most: it fits into int64
BLOCK = 1 << 17  # bytes of text parsed at once: larger blocks fall out of the processor's cache
WORD = 8  # digits parsed together; also the bytes of slack in front of a block, so that a word may start early


class RecordIndex(Sequence[int]):
    """The keys of a RecordIO file in the order of its index, and the byte offset of each.

    `keys` and `offsets` are int64 (N,). Raises DataError, naming `path`, when a key or an offset stands there twice.
    """

    def __init__(self, keys: np.ndarray, offsets: np.ndarray, path: Path) -> None:
        starts = _run_starts(keys)
        self._build(keys[starts], starts, offsets, path)

    @classmethod
    def of_runs(cls, first: np.ndarray, line: np.ndarray, offsets: np.ndarray, path: Path) -> "RecordIndex":
        """Index of runs of consecutive keys: run r has the keys first[r], first[r] + 1, ... from line[r] on."""
        index = cls.__new__(cls)
        index._build(first, line, offsets, path)
        return index

    def _build(self, first: np.ndarray, line: np.ndarray, offsets: np.ndarray, path: Path) -> None:
        self.offsets = offsets
        self._first, self._line = first, line
        length = np.diff(line, append=len(offsets))
        order = np.argsort(first, kind="stable")
        first, line, length = first[order], line[order], length[order]
        twice = np.flatnonzero(first[:-1] + length[:-1] > first[1:])
        if len(twice):
            raise DataError(f"{path}: key {first[twice[0] + 1]} stands there twice; write the index again")
        if not (offsets[1:] > offsets[:-1]).all():  # rising, as writers leave them: nothing to sort
            places = np.argsort(offsets, kind="stable")
            same = np.flatnonzero(offsets[places[1:]] == offsets[places[:-1]])
            if len(same):
                keys = " and ".join(str(self[int(place)]) for place in places[same[0] : same[0] + 2])
                raise DataError(
                    f"{path}: keys {keys} have one offset, {offsets[places[same[0]]]}; copy it again, or remove it to "
                    "have it rebuilt from the .rec"
                )
        # array: bisect reads it without making a numpy scalar at each step
        self._sorted_first, self._sorted_line, self._sorted_length = (
            array("q", values.astype(np.int64).tobytes()) for values in (first, line, length)
        )

    def offset(self, key: int) -> int:
        """Byte offset of a key's record; raises KeyError when the index does not have it."""
        run = bisect_right(self._sorted_first, key) - 1
        ahead = key - self._sorted_first[run] if run >= 0 else -1
        if not 0 <= ahead < self._sorted_length[run]:
            raise KeyError(key)
        return int(self.offsets[self._sorted_line[run] + ahead])

    def offsets_of(self, keys: np.ndarray) -> np.ndarray:
        """Byte offsets, int64 (n,), of keys (n,) that the index has."""
        first, line = np.asarray(self._sorted_first), np.asarray(self._sorted_line)
        run = np.searchsorted(first, keys, side="right") - 1
        offsets: np.ndarray = self.offsets[line[run] + keys - first[run]]
        return offsets

    def spans(self, keys: np.ndarray, size: int) -> list[tuple[int, int]]:
        """First byte, and the one behind the last, of the records of keys (n,) that the index has; neighbours as one.

        size: bytes of the whole file.
        """
        starts, bounds = np.sort(self.offsets_of(keys)), np.append(np.sort(self.offsets), size)
        ends = bounds[np.searchsorted(bounds, starts, side="right")]
        apart = np.flatnonzero(starts[1:] != ends[:-1])
        first, last = np.append(0, apart + 1), np.append(apart, len(ends) - 1)
        return list(zip(starts[first].tolist(), ends[last].tolist(), strict=True))

    def first_missing(self, start: int, stop: int) -> int | None:
        """The lowest key of start..stop-1 that the index does not have, or None."""
        key = start
        while key < stop:
            run = bisect_right(self._sorted_first, key) - 1
            if run < 0 or key >= self._sorted_first[run] + self._sorted_length[run]:
                return key
            key = self._sorted_first[run] + self._sorted_length[run]
        return None

    def beyond(self, stop: int) -> Iterator[int]:
        """All keys from `stop` on, rising."""
        run = max(0, bisect_right(self._sorted_first, stop) - 1)
        for first, length in zip(self._sorted_first[run:], self._sorted_length[run:], strict=True):
            yield from range(max(first, stop), first + length)

    def array(self) -> np.ndarray:
        """All keys in the order of the index, int64 (N,): a new array of 8 bytes a key."""
        run = np.zeros(len(self.offsets), np.int64)
        run[self._line[1:]] = 1
        run = np.cumsum(run)
        return self._first[run] + np.arange(len(run)) - self._line[run] if len(run) else run

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        run = int(np.searchsorted(self._line, place, side="right")) - 1
        return int(self._first[run] + place - self._line[run])

    def __iter__(self) -> Iterator[int]:
        lengths = np.diff(self._line, append=len(self))
        for first, length in zip(self._first.tolist(), lengths.tolist(), strict=True):
            yield from range(first, first + length)

    def __contains__(self, key: object) -> bool:
        try:
            self.offset(key)  # type: ignore[arg-type]
        except (KeyError, TypeError):
            return False
        return True

    def __eq__(self, other: object) -> bool:
        """Same keys in the same order as another index or any sequence of numbers."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(own == others for own, others in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


def read_index(path: Path) -> RecordIndex:
    """Parse a `.idx` file. Raises DataError naming the path and the line that is not `key<TAB>offset`."""
    file = RandomAccessFile(path)
    offsets = np.empty(file.size // SHORTEST_LINE + 1, np.int64)  # pages never written cost nothing
    count, next_key = 0, -1
    first: list[np.ndarray] = []
    line: list[np.ndarray] = []
    for text, stop in _whole_lines(file):
        keys, block_offsets = _parse(text, stop, path, count)
        starts = _run_starts(keys)
        starts = starts[1:] if keys[0] == next_key else starts
        first.append(keys[starts])
        line.append(starts + count)
        offsets[count : count + len(keys)] = block_offsets
        count, next_key = count + len(keys), int(keys[-1]) + 1
    offsets.resize(count, refcheck=False)
    none = [np.empty(0, np.int64)]
    return RecordIndex.of_runs(np.concatenate(first or none), np.concatenate(line or none), offsets, path)


def _run_starts(keys: np.ndarray) -> np.ndarray:
    """Positions where a key is not its predecessor + 1."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), bool), np.diff(keys) != 1]))


def _whole_lines(file: RandomAccessFile) -> Iterator[tuple[bytearray, int]]:
    """Blocks of whole lines, each in text[WORD:stop]; the buffer is used again for the next block."""
    text = bytearray(WORD + BLOCK + 1)
    filled, place = WORD, 0
    while got := file.read(place, WORD + BLOCK - filled):
        text[filled : filled + len(got)] = got
        filled, place = filled + len(got), place + len(got)
        stop = text.rfind(b"\n", WORD, filled) + 1
        if stop == 0:
            continue
        yield text, stop
        text[WORD : WORD + filled - stop] = text[stop:filled]
        filled -= stop - WORD
    if filled > WORD:  # a last line without its end, or a line longer than a block
        text[filled] = ord("\n")
        yield text, filled + 1


def _parse(text: bytearray, stop: int, path: Path, lines_before: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and offsets, int64, of the lines in text[WORD:stop].

    A writer's lines change their width a dozen times in an index, so by columns nearly all of its blocks take an eighth
    of the time that they take line by line.
    """
    return _parse_same_width(text, WORD, stop) or _parse_lines(bytes(text[WORD:stop]), path, lines_before)


def _parse_same_width(text: bytearray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Keys and offsets when every line is as wide as the first and has its tab in the same column, else None."""
    width = text.find(b"\n", start, stop) + 1 - start
    tab = text.find(b"\t", start, stop) - start
    count = (stop - start) // width
    if count * width != stop - start or not (0 < tab <= DIGITS and 0 < width - tab - 2 <= DIGITS):
        return None
    rows = np.frombuffer(text, np.uint8, count * width, start).reshape(count, width)
    digits = np.count_nonzero(rows - np.uint8(ord("0")) < 10)
    separated = (rows[:, -1] == ord("\n")).all() and (rows[:, tab] == ord("\t")).all()
    if not separated or digits != count * (width - 2):
        return None
    return _number(text, start, width, count, 0, tab), _number(text, start, width, count, tab + 1, width - 1)


def _number(text: bytearray, start: int, width: int, count: int, first: int, last: int) -> np.ndarray:
    """The number in columns first..last-1 of each line, int64 (count,)."""
    total = np.zeros(count, np.uint64)
    scale = 1
    while last > first:
        word = np.ndarray((count,), "<u8", text, start + last - WORD, (width,)).copy()
        foreign = np.uint64(8 * max(0, WORD - (last - first)))  # bits of the columns before the number
        total += _eight_digits(word >> foreign << foreign) * np.uint64(scale)
        scale, last = scale * 10**WORD, last - WORD
    return total.astype(np.int64)


def _eight_digits(word: np.ndarray) -> np.ndarray:
    """Decimal value of eight ASCII digits in each uint64, first digit in the lowest byte; a zero byte counts as 0.

    Neighbours are added pairwise (1 digit to 2, 2 to 4, 4 to 8): the multiplier 10 * 256 + 1 puts
    10 * a + b of the byte pair (a, b) into the upper byte, and so on for wider fields.
    """
    word = word & np.uint64(0x0F0F0F0F0F0F0F0F)
    for bits, base, keep in ((8, 10, 0x00FF00FF00FF00FF), (16, 100, 0x0000FFFF0000FFFF), (32, 10000, 0xFFFFFFFF)):
        word = (word * np.uint64((base << bits) + 1) >> np.uint64(bits)) & np.uint64(keep)
    return word


def _parse_lines(text: bytes, path: Path, lines_before: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and offsets of any well-formed lines."""
    good = LINES.match(text)
    assert good is not None  # the pattern also matches nothing
    if good.end() != len(text):
        number = lines_before + text.count(b"\n", 0, good.end()) + 1
        wrong = text[good.end() :].split(b"\n")[0][:60]
        raise DataError(
            f"{path}: line {number} is {wrong!r}, not `key<TAB>offset`; "
            "remove the file to have the index rebuilt from the .rec, or copy it again"
        )
    values = np.array(text.split(), np.int64).reshape(-1, 2)
    return values[:, 0], values[:, 1]
