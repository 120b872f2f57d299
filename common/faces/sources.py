"""Training faces: samples 0..N-1, each with an encoded picture and the number of its identity.

    open_source("faces_emore")      a folder with train.rec, train.idx, property (MXNet RecordIO)
    open_source("CASIA-WebFace")    a folder of one folder per identity

Samples come in key order (RecordIO) or in the order of identity and file name (folders), the same on every machine.
Sources may be pickled, forked and used by threads; a pickle holds labels and file names, no open file.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path

import numpy as np

from common.disk import Stretch
from common.documents import read_document, read_regular
from common.errors import DataError
from common.faces.fitting import Fit
from common.faces.pixels import decode_rgb
from common.faces.random_access import RandomAccessFile
from common.faces.record_labels import pictures_of, spread
from common.faces.recordio import Records
from common.text import printable

SUFFIXES = (".jpg", ".jpeg", ".png")
NAMES = "identities.json"  # beside a RecordIO file: a JSON list of the identities' names, in order
LARGEST_PICTURE = 1 << 29  # bytes: as much as a RecordIO record holds


class FaceSource(ABC):
    """N faces of C identities.

    `labels` is int32 (N,), 0..C-1 with no gap; it keeps the order of the identities, not their original numbers.
    `found`: how many samples there are, those beyond `max_per_identity` too. `fit`: how pictures become one size.
    """

    kind: str

    def __init__(self, path: Path, identities: np.ndarray, found: int, fit: Fit | None) -> None:
        self.path, self.found, self.fit = path, found, fit
        distinct = np.unique(identities)
        self.labels: np.ndarray = np.searchsorted(distinct, identities).astype(np.int32)
        self.labels.flags.writeable = False
        self.num_classes = len(distinct)

    def __len__(self) -> int:
        return len(self.labels)

    def label(self, sample: int) -> int:
        """Identity of a sample, 0..C-1."""
        return int(self.labels[sample])

    def number(self, sample: int) -> int:
        """What views are drawn by: the sample's number, in a subset (common/faces/subset.py) that in the whole."""
        return sample

    @abstractmethod
    def jpeg(self, sample: int) -> bytes:
        """The encoded picture. Raises DataError naming the record where it cannot be had."""

    @abstractmethod
    def announce(self, samples: np.ndarray) -> None:
        """Have the disk read the pictures of samples (n,), which will be asked for; returns at once."""

    @abstractmethod
    def stretches(self, samples: np.ndarray) -> list[Stretch]:
        """Where the pictures of samples (n,) lie on the disk. Raises OSError for a file that is gone."""

    @abstractmethod
    def name(self, sample: int) -> str:
        """What a person calls this sample: path and key, or the path of its file."""

    @cached_property
    def people(self) -> list[str]:
        """What a person calls each identity: the C names of `identities.json` beside the faces, or "identity 17".

        Raises DataError where that file is there and is not a list of C names.
        """
        file = self.path / NAMES
        if not file.exists():
            return [f"identity {label}" for label in range(self.num_classes)]
        names = read_document(file, list[str], DataError, "mend or remove it")
        if len(names) != self.num_classes:
            raise DataError(
                f"{file}: {len(names)} names, expected a list of {self.num_classes} names: mend or remove it"
            )
        return names

    def rgb(self, sample: int, out: np.ndarray | None = None) -> np.ndarray:
        """The picture, uint8 (H,W,3) RGB: `out` where that is given and of its size (see `decode_rgb`), else a new
        array. Raises DataError where it does not decode."""
        return self.decode(self.jpeg(sample), sample, out)

    def decode(self, jpeg: bytes, sample: int, out: np.ndarray | None = None) -> np.ndarray:
        """`rgb` of a sample whose encoded picture is at hand."""
        name = self.name(sample)
        rgb = decode_rgb(jpeg, name, out)
        return rgb if self.fit is None else self.fit.apply(rgb, name)

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the number of samples, all labels, and the pictures of up to 1,024 samples.

        It depends on the faces and their order only: not on where they are, nor on how they are packed. A change in
        a picture that is not among the 1,024 (first, last, evenly between) goes unnoticed.
        """
        digest = hashlib.sha256(np.array([len(self), self.num_classes], "<i8").tobytes())
        digest.update(self.labels.astype("<i4").tobytes())
        for sample in spread(len(self)):
            jpeg = self._jpeg_or_nothing(sample)
            digest.update(len(jpeg).to_bytes(8, "little") + jpeg)
        return digest.hexdigest()

    def numbering(self) -> str | None:
        """None where samples have the numbers 0..N-1 for their views; else SHA-256, in hex, of their numbers, int64."""
        return None

    def _jpeg_or_nothing(self, sample: int) -> bytes:
        """Nothing for a record without a picture; a file that cannot be read is an error still."""
        try:
            return self.jpeg(sample)
        except DataError as error:
            if isinstance(error.__cause__, OSError):
                raise
            return b""


def open_source(
    path: str | os.PathLike[str], max_per_identity: int | None = None, fit: Fit | None = None
) -> FaceSource:
    """Open a RecordIO folder (or its `.rec`) or a folder of identity folders.

    `max_per_identity` keeps only the first so many samples of each identity; `fit` brings pictures to one size. Raises
    DataError, saying what was expected, where there are no faces.
    """
    path = Path(path)
    if max_per_identity is not None and max_per_identity < 1:
        raise DataError(f"max_per_identity is {max_per_identity}; give at least 1, or leave it out for all")
    if path.suffix == ".rec":
        return RecordSource(path, max_per_identity, fit)
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
            kept = _first_per_identity(identities, max_per_identity)
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

    def announce(self, samples: np.ndarray) -> None:
        for sample in samples.tolist():
            picture = RandomAccessFile(self.path / self._names[sample])
            picture.announce(0, picture.size)

    def stretches(self, samples: np.ndarray) -> list[Stretch]:
        files = (self.path / self._names[sample] for sample in samples.tolist())
        return [Stretch(file, 0, file.stat().st_size) for file in files]

    def name(self, sample: int) -> str:
        return printable(self.path / self._names[sample])


def _first_per_identity(identities: np.ndarray, limit: int) -> np.ndarray:
    """Places, ascending, of the first `limit` samples of each identity."""
    order = np.argsort(identities, kind="stable")
    _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    return np.sort(order[rank < limit])


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
