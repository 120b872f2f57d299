"""Stretches of files, and whether the page cache has them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

PROBES = 256


class Stretch(NamedTuple):
    """`size` bytes of a file from byte `start` on."""

    file: Path
    start: int
    size: int


def in_memory(stretches: Sequence[Stretch]) -> bool:
    """Whether reading them would not need the disk, judged by PROBES bytes evenly between the first and the last.

    A file system that cannot tell (NFS) counts as one that needs it, and so does a file that cannot be read.
    """
    ends = np.cumsum([stretch.size for stretch in stretches])
    if not len(ends) or not ends[-1]:
        return True
    probes = np.unique(np.linspace(0, ends[-1] - 1, PROBES).astype(np.int64))
    of_stretch = np.searchsorted(ends, probes, side="right")
    try:
        for number, probe in zip(of_stretch.tolist(), probes.tolist(), strict=True):
            stretch = stretches[number]
            if not _byte_in_memory(stretch.file, stretch.start + probe - (int(ends[number]) - stretch.size)):
                return False
    except OSError:
        return False
    return True


def _byte_in_memory(file: Path, offset: int) -> bool:
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.preadv(handle, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def pieces(stretches: Sequence[Stretch], size: int) -> Iterator[Stretch]:
    """The same bytes in pieces of at most `size`."""
    for file, start, whole in stretches:
        for offset in range(0, whole, size):
            yield Stretch(file, start + offset, min(size, whole - offset))
