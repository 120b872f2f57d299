"""Pairs of faces for a verification set, from a protocol's file or drawn at random.

A face is called PERSON/NAME, its file below the aligned folder without suffix.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from common.documents import read_regular
from common.errors import DataError, UserError
from common.faces import four_words
from common.text import printable

STREAM_PAIRS = 7
LARGEST = 1 << 28  # bytes of a file of pairs
_DEALT, _SAME, _DIFFERENT = range(3)


class Pair(NamedTuple):
    """Two faces and whether they are of one person."""

    first: str
    second: str
    same: bool


Folds = list[list[Pair]]


def read_pairs(path: Path) -> Folds:
    """A file of pairs: LFW's (`pairs.txt`, `pairsDevTest.txt`), or a `.csv` with first, second, same and, if there are
    several, fold. Raises DataError naming file and line."""
    return _read_csv(path) if path.suffix.lower() == ".csv" else _read_lfw(path)


def _read_lfw(path: Path) -> Folds:
    """`FOLDS N` (or `N` for one fold), then a fold's N pairs of one person, `NAME 1 4`, and N of two, `NAME 1 OTHER 2`.

    NAME 1 is the face NAME/NAME_0001. Source: LFW's README, view 2.
    """
    lines = [line.split() for line in _text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines or not 1 <= len(lines[0]) <= 2 or not all(map(_is_number, lines[0])):
        raise _wrong(path, 1, "expected how many folds and pairs there are, such as `10 300`")
    number, half = (1, int(lines[0][0])) if len(lines[0]) == 1 else map(int, lines[0])
    if len(lines) != 1 + 2 * number * half or not number * half:
        raise _wrong(path, 1, f"announces {number} x {2 * half} pairs, {len(lines) - 1} lines follow")
    return [
        [_lfw_pair(path, start + n, lines[start + n - 1], n < half) for n in range(2 * half)]
        for start in range(2, len(lines) + 1, 2 * half)
    ]


def _lfw_pair(path: Path, line: int, fields: list[str], same: bool) -> Pair:
    people = fields[::2] if not same else [fields[0], fields[0]] if fields else []
    numbers = fields[1:] if same else fields[1::2]
    if len(fields) != (3 if same else 4) or not all(map(_is_number, numbers)):
        expected = "NAME NUMBER NUMBER, of one person" if same else "NAME NUMBER NAME NUMBER, of two people"
        raise _wrong(path, line, f"expected {expected}")
    if not same and people[0] == people[1]:
        raise _wrong(path, line, f"two faces of {people[0]} among the pairs of two people")
    first, second = (f"{name}/{name}_{int(place):04}" for name, place in zip(people, numbers, strict=True))
    return Pair(first, second, same)


def _read_csv(path: Path) -> Folds:
    rows = csv.reader(io.StringIO(_text(path)))
    heading = next(rows, [])
    if heading not in (["first", "second", "same"], ["first", "second", "same", "fold"]):
        raise _wrong(path, 1, "expected the heading first,second,same or first,second,same,fold")
    folds: dict[str, list[Pair]] = {}
    try:
        for row in rows:
            if len(row) != len(heading) or row[2] not in ("0", "1") or not row[0] or not row[1]:
                raise _wrong(path, rows.line_num, f"expected {','.join(heading)} with same 1 or 0")
            pair = Pair(_without_suffix(row[0]), _without_suffix(row[1]), row[2] == "1")
            folds.setdefault(row[3] if len(row) > 3 else "", []).append(pair)
    except csv.Error as error:
        raise _wrong(path, rows.line_num, str(error)) from None
    if not folds:
        raise _wrong(path, 1, "no pairs below the heading")
    return list(folds.values())


def draw_pairs(photos_of: Mapping[str, Sequence[str]], pairs: int, folds: int, seed: int) -> Folds:
    """`pairs` in all, one of one person and one of two in turns, in folds of equal size that share no person.

    In turns, so that both kinds are in each of the ten blocks that evaluation cuts, however many folds there are.
    photos_of: person -> the names of his or her faces. People are dealt to folds by how many faces they have; a pair's
    person (or two) is drawn evenly among those with a pair left, then the faces. The same for the same faces and seed,
    on every machine. Raises UserError where the faces do not suffice.
    """
    if folds < 1 or pairs < 2 * folds or pairs % (2 * folds):
        raise UserError(f"{pairs} pairs in {folds} folds: as many of one person as of two in each; say {2 * folds} x N")
    names = sorted(photos_of)
    drawn = {name: four_words(seed, STREAM_PAIRS, place, _DEALT)[0] for place, name in enumerate(names)}
    order = sorted(names, key=lambda name: (-len(photos_of[name]), drawn[name]))
    # There and back, so that no fold always gets the larger of two.
    turns = [*range(folds), *reversed(range(folds))]
    members: list[list[str]] = [[] for _ in range(folds)]
    for place, name in enumerate(order):
        members[turns[place % len(turns)]].append(name)
    half = pairs // folds // 2
    drawn_folds = []
    for fold, people in enumerate(map(sorted, members)):
        same = _same(photos_of, people, half, _Dice(seed, fold, _SAME))
        different = _different(photos_of, people, half, _Dice(seed, fold, _DIFFERENT))
        drawn_folds.append([pair for turn in zip(same, different, strict=True) for pair in turn])
    return drawn_folds


class _Dice:
    """Numbers drawn one after the other, each a pure function of seed, fold, kind and place."""

    def __init__(self, seed: int, fold: int, kind: int) -> None:
        self._seed, self._start, self._kind, self._place = seed, fold << 40, kind, 0

    def below(self, number: int) -> int:
        word = four_words(self._seed, STREAM_PAIRS, self._start + self._place, self._kind)[0]
        self._place += 1
        return word * number >> 32


def _same(photos_of: Mapping[str, Sequence[str]], people: list[str], count: int, dice: _Dice) -> list[Pair]:
    left = {name: _pairs_of(len(photos_of[name])) for name in people}
    _require(sum(left.values()), count, "of one person")
    able = [name for name in people if left[name]]
    used: set[tuple[str, str]] = set()
    while len(used) < count:
        name = able[dice.below(len(able))]
        first, second = _two(len(photos_of[name]), dice)
        pair = photos_of[name][first], photos_of[name][second]
        if pair not in used:
            used.add(pair)
            left[name] -= 1
            if not left[name]:
                able.remove(name)
    return [Pair(first, second, True) for first, second in sorted(used)]


def _different(photos_of: Mapping[str, Sequence[str]], people: list[str], count: int, dice: _Dice) -> list[Pair]:
    faces = [len(photos_of[name]) for name in people]
    _require((sum(faces) ** 2 - sum(n * n for n in faces)) // 2, count, "of two people")
    used: set[tuple[str, str]] = set()
    while len(used) < count:
        chosen = (people[place] for place in _two(len(people), dice))
        first, second = (photos_of[name][dice.below(len(photos_of[name]))] for name in chosen)
        used.add((first, second))
    return [Pair(first, second, False) for first, second in sorted(used)]


def _two(number: int, dice: _Dice) -> tuple[int, int]:
    """Two of 0..number-1, the lower first, all pairs alike."""
    first, second = dice.below(number), dice.below(number - 1)
    second += second >= first
    return min(first, second), max(first, second)


def _pairs_of(number: int) -> int:
    return number * (number - 1) // 2


def _require(there: int, wanted: int, kind: str) -> None:
    if there < wanted:
        raise UserError(f"a fold has {there:,} pairs {kind}, {wanted:,} are wanted: ask for fewer pairs or fewer folds")


def _text(path: Path) -> str:
    try:
        return read_regular(path, DataError, "give a file of pairs", LARGEST).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8: give a file of pairs") from None


def _without_suffix(face: str) -> str:
    return face.rsplit(".", 1)[0] if face.lower().endswith((".jpg", ".jpeg", ".png")) else face


def _is_number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 8


def _wrong(path: Path, line: int, what: str) -> DataError:
    return DataError(f"{path}: line {line}: {printable(what)}: mend the line")
