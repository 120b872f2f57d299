"""Training faces: samples 0..N-1, each with an encoded picture and the number of its identity.

    open_source("faces_emore")                 a folder with train.rec, train.idx, property (MXNet RecordIO)
    open_source("CASIA-WebFace")               a folder of one folder per identity
    open_source("CASIA-WebFace-112X96.txt")    a list of pictures, a path and a label a line

Samples come in key order (RecordIO), in the order of identity and file name (folders) or of the list, the same on every
machine. Sources may be pickled, forked and used by threads; a pickle holds labels and file names, no open file.
"""

import os
from functools import cached_property
from pathlib import Path

import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.faces.fitting import Fit
from common.faces.listed import LISTS, ListSource
from common.faces.record_labels import pictures_of
from common.faces.recordio import Records
from common.faces.source import LARGEST_PICTURE, FaceSource, first_per_identity
from common.text import printable

SUFFIXES = (".jpg", ".jpeg", ".png")


def open_source(
    path: str | os.PathLike[str], max_per_identity: int | None = None, fit: Fit | None = None
) -> FaceSource:
    """Open a RecordIO folder (or its `.rec`), a folder of identity folders, or a `.txt` list of pictures.

    `max_per_identity` keeps only the first so many samples of each identity; `fit` brings pictures to one size. Raises
    DataError, saying what was expected, where there are no faces.
    """
    path = Path(path)
    if max_per_identity is not None and max_per_identity < 1:
        raise DataError(f"max_per_identity is {max_per_identity}; give at least 1, or leave it out for all")
    if path.suffix == ".rec":
        return RecordSource(path, max_per_identity, fit)
    if path.suffix in LISTS and not path.is_dir():
        return ListSource(path, max_per_identity, fit)
    found = sorted(path / name for name in _entries(path) if name.endswith(".rec"))
    rec_path = path / "train.rec"
    if rec_path in found or len(found) == 1:
        return RecordSource(rec_path if rec_path in found else found[0], max_per_identity, fit)
    if found:
        raise DataError(f"{path}: {len(found)} .rec files and none is train.rec; give the path of one of them")
    return FolderSource(path, max_per_identity, fit)


class RecordSource(FaceSource):
    """Faces in MXNet RecordIO; whose they are: common/faces/record_labels.py."""

    kind = "recordio"

    def __init__(self, rec_path: Path, max_per_identity: int | None = None, fit: Fit | None = None) -> None:
        records = Records(rec_path)
        keys, identities = pictures_of(records)
        if len(keys) == 0:
            raise DataError(f"{rec_path}: no pictures in it; expected image records with a label each")
        found = len(keys)
        if max_per_identity is not None:
            kept = first_per_identity(identities, max_per_identity)
            keys, identities = np.asarray(keys)[kept], identities[kept]
        super().__init__(rec_path.parent, identities, found, fit)
        self._records = records
        self._keys = keys

    def jpeg(self, sample: int) -> bytes:
        payload = self._records[int(self._keys[sample])].payload
        if not payload:
            raise DataError(f"{self.name(sample)} has no picture in it")
        return payload

    def name(self, sample: int) -> str:
        return f"{self._records.path}: record {self._keys[sample]}"


class FolderSource(FaceSource):
    """Faces as image files, one folder an identity (the layout of CASIA-WebFace and LFW).

    Identity folders and files are taken in the order of their names' code points. Hidden entries, files that are not
    .jpg, .jpeg or .png, folders without pictures and deeper folders are left out. Symbolic links are followed.
    """

    kind = "folder"

    def __init__(self, path: Path, max_per_identity: int | None = None, fit: Fit | None = None) -> None:
        names: list[str] = []
        identities: list[int] = []
        found = 0
        for number, identity in enumerate(_folders(path)):
            pictures = _pictures(path / identity)
            found += len(pictures)
            files = pictures[:max_per_identity]
            names += [f"{identity}/{file}" for file in files]
            identities += [number] * len(files)
        if not names:
            raise DataError(
                f"{path}: no faces; expected train.rec with train.idx, or one folder an identity with "
                f"{', '.join(SUFFIXES)} files in it"
            )
        super().__init__(path, np.array(identities), found, fit)
        self._names = names

    @cached_property
    def people(self) -> list[str]:
        """The names of the identity folders that have pictures."""
        return [printable(name) for name in dict.fromkeys(name.split("/")[0] for name in self._names)]

    def jpeg(self, sample: int) -> bytes:
        return read_regular(self.path / self._names[sample], DataError, "was it moved?", LARGEST_PICTURE)

    def file(self, sample: int) -> str:
        return self._names[sample]

    def name(self, sample: int) -> str:
        return printable(self.path / self._names[sample])


def _entries(folder: Path) -> dict[str, bool]:
    """Name -> whether it is a folder, of what is not hidden, in the order of names. Raises DataError for no folder."""
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{folder}: no such folder; expected train.rec with train.idx in it, or identity folders"
        ) from error
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be listed ({error.strerror}); mend or remove it"
        ) from error
    return dict(sorted(found.items()))


def _folders(path: Path) -> list[str]:
    return [name for name, is_folder in _entries(path).items() if is_folder]


def _pictures(folder: Path) -> list[str]:
    return [name for name, is_folder in _entries(folder).items() if name.lower().endswith(SUFFIXES) and not is_folder]
