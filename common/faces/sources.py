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

from common.config import Config
from common.disk import Stretch
from common.errors import DataError, UserError
from common.faces.fitting import Fit
from common.faces.listed import LISTS, ListSource
from common.faces.record_labels import pictures_of
from common.faces.recordio import Records
from common.faces.source import FaceSource, FileSource, first_per_identity
from common.faces.subset import SubsetSource
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


def open_faces(config: Config, root: Path) -> FaceSource:
    """The training faces of an experiment, all or a subset; all are checked against the numbers the config expects.

    Raises UserError when they are missing, saying where to get them, or when they are other faces.
    """
    faces = config.faces
    path = root / faces.path
    if not path.exists():
        raise UserError(
            f"{path}: no training faces there. {faces.origin or 'Set faces.path, or the data root (DATA=)'}"
        )
    fit = None if faces.fit is None else Fit(faces.fit, faces.size)
    source = open_source(path, faces.max_per_identity, fit)
    for name, expected, found in (
        ("samples", faces.samples, source.found),
        ("identities", faces.identities, source.num_classes),
    ):
        if expected is not None and expected != found:
            raise UserError(
                f"{path}: {found:,} {name}, the config expects {expected:,}: other faces; or set faces.{name}, "
                "`none` for any number"
            )
    return source if faces.subset is None else SubsetSource.open(Path(faces.subset), source)


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
        payload = self._records.payload(int(self._keys[sample]))
        if not payload:
            raise DataError(f"{self.name(sample)} has no picture in it")
        return payload

    def announce(self, samples: np.ndarray) -> None:
        self._records.announce(self._keys_of(samples))

    def stretches(self, samples: np.ndarray) -> list[Stretch]:
        return self._records.stretches(self._keys_of(samples))

    def _keys_of(self, samples: np.ndarray) -> np.ndarray:
        keys = self._keys
        return keys.start + keys.step * samples if isinstance(keys, range) else keys[samples]

    def name(self, sample: int) -> str:
        return f"{self._records.path}: record {self._keys[sample]}"


class FolderSource(FileSource):
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
        super().__init__(path, names, np.array(identities), found, fit)

    @cached_property
    def people(self) -> list[str]:
        """The names of the identity folders that have pictures."""
        return [printable(name) for name in dict.fromkeys(name.split("/")[0] for name in self._names)]


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
