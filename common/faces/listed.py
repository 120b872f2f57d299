"""Faces named in a text file, a path and the number of its identity a line, as CosFace's and SphereFace's lists are.

CASIA-WebFace-112X96/0000045/001.jpg 0
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.faces.fitting import Fit
from common.faces.source import FileSource, first_per_identity, read_aligner
from common.files import replacing
from common.text import printable

LISTS = (".txt",)


class ListSource(FileSource):
    """The pictures of a list, in its order; labels are what stands behind a line's last space.

    Paths start where the first of them is found: beside the list, or in the folder beside it that has its name without
    suffix.
    """

    kind = "list"

    def __init__(self, path: Path, max_per_identity: int | None = None, fit: Fit | None = None) -> None:
        names, labels = _read(path)
        found = len(names)
        if max_per_identity is not None:
            kept = first_per_identity(labels, max_per_identity)
            names, labels = [names[place] for place in kept.tolist()], labels[kept]
        super().__init__(_start(path, names[0]), names, labels, found, fit)

    @cached_property
    def people(self) -> list[str]:
        """The folder of each identity's first picture."""
        _, first = np.unique(self.labels, return_index=True)
        folders = [PurePosixPath(self._names[place]).parent.name for place in first.tolist()]
        return [printable(folder) or f"identity {label}" for label, folder in enumerate(folders)]

    @cached_property
    def aligner(self) -> dict[str, Any] | None:
        """That of the folder where paths start, or of the first folder in them."""
        first, slash, _ = self._names[0].partition("/")
        return read_aligner(self.path) or (read_aligner(self.path / first) if slash else None)


def write_list(path: Path, entries: Iterable[tuple[str, int]]) -> None:
    """Write a list that `ListSource` and CosFace's loaders read: a path and a label a line. Atomic.

    Raises DataError for a path with a line break in it, which no reader would get back.
    """
    with replacing(path) as unfinished, open(unfinished, "w", encoding="utf-8", errors="surrogateescape") as file:
        for name, label in entries:
            if len(name.splitlines()) != 1 or name != name.strip():
                raise DataError(f"{printable(repr(name))}: such a name cannot stand in a list: rename it")
            file.write(f"{name} {label}\n")


def _read(path: Path) -> tuple[list[str], np.ndarray]:
    names: list[str] = []
    labels: list[int] = []
    for line, text in _lines(path):
        name, _, label = text.rpartition(" ")
        inside = PurePosixPath(name)
        if not (label.isascii() and label.isdigit() and len(label) < 10) or not name.strip():
            raise DataError(f"{path}: line {line}: expected a path, a space and a whole number: mend the line")
        if inside.is_absolute() or ".." in inside.parts or "\0" in name:
            raise DataError(f"{path}: line {line}: {printable(name)} leads out of the list's folder: mend the line")
        names.append(name.strip())
        labels.append(int(label))
    if not names:
        raise DataError(f"{path}: no faces; expected a list with a path and a whole number a line")
    return names, np.array(labels)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of the lines that are not empty; tabs are spaces, and any bytes may be a name."""
    text = read_regular(path, DataError, "a list has a path and a whole number a line")
    for number, raw in enumerate(text.split(b"\n"), start=1):
        line = raw.decode("utf-8", "surrogateescape").replace("\t", " ").rstrip()
        if line:
            yield number, line


def _start(path: Path, first: str) -> Path:
    beside = (path.parent, path.with_suffix(""))
    for folder in beside:
        if (folder / first).is_file():
            return folder
    raise DataError(
        f"{path}: line 1: {printable(first)} is not in {beside[0]} nor in {beside[1]}: put the list beside its faces"
    )
