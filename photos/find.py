"""The photos in a folder, in one order on every machine, and what there is no use for, with its reason.

person/photo.jpg: the first folder is the person, whatever lies deeper. Links are followed, each folder once.
"""

import os
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from common.text import printable
from photos.picture import SUFFIXES

_NOT_DECODED = (".heic", ".heif", ".avif", ".jp2", ".jxl", ".cr2", ".nef", ".arw", ".dng")


class Photo(NamedTuple):
    """path: below the folder, with slashes. size: bytes. modified: nanoseconds."""

    path: str
    size: int
    modified: int

    @property
    def person(self) -> str | None:
        """The first folder of its path; None for a photo in none."""
        first, slash, _ = self.path.partition("/")
        return first if slash else None


class Unusable(NamedTuple):
    """A folder or file that cannot be used, by its printable name, and why."""

    path: str
    reason: str


class Photos(NamedTuple):
    """photos, unusable: in the order of their paths. others: how many files of which suffix are no pictures."""

    photos: list[Photo]
    unusable: list[Unusable]
    others: Counter[str]


def find_photos(folder: Path) -> Photos:
    """Everything below a folder; hidden names are left out. Raises DataError when it is no folder that can be read."""
    try:
        top = os.stat(folder)
        os.scandir(folder).close()
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}: name a folder of photos") from error
    found = Photos([], [], Counter())
    seen = {(top.st_dev, top.st_ino)}
    waiting = [""]
    while waiting:
        _look_into(folder, waiting.pop(), found, seen, waiting)
    found.photos.sort()
    found.unusable.sort()
    return found


def _look_into(folder: Path, below: str, found: Photos, seen: set[tuple[int, int]], waiting: list[str]) -> None:
    try:
        names = sorted(name for name in os.listdir(folder / below) if not name.startswith("."))
    except OSError as error:
        found.unusable.append(Unusable(printable(below), f"the folder cannot be read ({error.strerror})"))
        return
    folders = []
    for name in names:
        path = f"{below}/{name}" if below else name
        try:
            entry = os.stat(folder / path)
        except OSError as error:
            found.unusable.append(Unusable(printable(path), f"cannot be read ({error.strerror})"))
            continue
        if not stat.S_ISDIR(entry.st_mode):
            _take(path, entry, found)
        elif (place := (entry.st_dev, entry.st_ino)) in seen:
            found.unusable.append(Unusable(printable(path), "a link to a folder that is looked into already"))
        else:
            seen.add(place)
            folders.append(path)
    waiting += reversed(folders)


def _take(path: str, entry: os.stat_result, found: Photos) -> None:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        if suffix in _NOT_DECODED:
            found.unusable.append(Unusable(printable(path), f"{suffix} is not decoded here: convert it to JPEG or PNG"))
        else:
            found.others[printable(suffix)] += 1
    elif not stat.S_ISREG(entry.st_mode):
        found.unusable.append(Unusable(printable(path), "not a regular file"))
    elif any("\ud800" <= character <= "\udfff" for character in path):
        found.unusable.append(Unusable(printable(path), "its name is not UTF-8: rename it"))
    else:
        found.photos.append(Photo(path, entry.st_size, entry.st_mtime_ns))
