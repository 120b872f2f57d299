"""What every set of training faces promises, however it is kept."""

import hashlib
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.disk import Stretch
from common.documents import parse_document, read_document, read_regular
from common.errors import DataError
from common.faces.fitting import Fit
from common.faces.pixels import decode_rgb
from common.faces.random_access import RandomAccessFile
from common.faces.record_labels import spread
from common.text import printable

NAMES = "identities.json"  # beside a RecordIO file: a JSON list of the identities' names, in order
ALIGNER = "aligner.json"  # beside any faces: which detector, template and options aligned them
LARGEST_PICTURE = 1 << 29  # bytes: as much as a RecordIO record holds
_LARGEST_ALIGNER = 1 << 20


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
    def aligner(self) -> dict[str, Any] | None:
        """How the faces were aligned, as `python -m photos` wrote it beside them (`aligner.json`); None where nobody
        says so. Raises DataError for a damaged file."""
        return read_aligner(self.path)

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

    def file(self, sample: int) -> str | None:
        """The path below `path` of a sample's picture, or None where that is no file of its own."""
        return None

    def rgb(self, sample: int, out: np.ndarray | None = None) -> np.ndarray:
        """The picture, uint8 (H,W,3) RGB: `out` where that is given and of its size (see `decode_rgb`), else a new
        array. Raises DataError where it does not decode."""
        return self.decode(self.jpeg(sample), sample, out)

    def decode(self, jpeg: bytes, sample: int, out: np.ndarray | None = None) -> np.ndarray:
        """`rgb` of a sample whose encoded picture is at hand."""
        name = _Name(self, sample)
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


class _Name:
    """A sample's name for an error. Made for every face, one of a path costs a good part of decoding it."""

    __slots__ = ("sample", "source")

    def __init__(self, source: FaceSource, sample: int) -> None:
        self.source, self.sample = source, sample

    def __str__(self) -> str:
        return self.source.name(self.sample)


class FileSource(FaceSource):
    """Faces that are files of their own, at `names` below a folder."""

    def __init__(self, path: Path, names: list[str], identities: np.ndarray, found: int, fit: Fit | None) -> None:
        super().__init__(path, identities, found, fit)
        self._names = names

    def jpeg(self, sample: int) -> bytes:
        return read_regular(self.path / self._names[sample], DataError, "was it moved?", LARGEST_PICTURE)

    def announce(self, samples: np.ndarray) -> None:
        for sample in samples.tolist():
            picture = RandomAccessFile(self.path / self._names[sample])
            picture.announce(0, picture.size)

    def stretches(self, samples: np.ndarray) -> list[Stretch]:
        files = (self.path / self._names[sample] for sample in samples.tolist())
        return [Stretch(file, 0, file.stat().st_size) for file in files]

    def file(self, sample: int) -> str:
        return self._names[sample]

    def name(self, sample: int) -> str:
        return printable(self.path / self._names[sample])


def read_aligner(folder: Path) -> dict[str, Any] | None:
    """The identity of the aligner of a folder's faces: JSON values by name; None where there is no such file."""
    path, remedy = folder / ALIGNER, "copy it from where the faces were aligned, or remove it"
    if not path.exists():
        return None
    return parse_document(
        read_regular(path, DataError, remedy, _LARGEST_ALIGNER), dict[str, Any], f"{path}", DataError, remedy
    )


def first_per_identity(identities: np.ndarray, limit: int) -> np.ndarray:
    """Places, ascending, of the first `limit` samples of each identity."""
    order = np.argsort(identities, kind="stable")
    _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    return np.sort(order[rank < limit])


def aligner_text(aligner: dict[str, Any]) -> str:
    """An aligner's identity as people read it, in one line: names and values, digests by their first digits."""
    return printable(", ".join(f"{name} {_value_text(value)}" for name, value in aligner.items()))


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return f"({aligner_text(value)})"
    if isinstance(value, list):
        return ("x" if all(isinstance(one, int) for one in value) else " ").join(map(str, value))
    plain = str(value)
    return plain[:12] if len(plain) == 64 else plain
