"""Some people of a set of faces, as a set of their own: samples and labels count from 0 again.

A view depends on the number a sample has in the whole set, so that number is kept (`FaceSource.number`). The selection
is a small file in the cache that was cut out, written by `python -m cache subset`.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from common.disk import Stretch
from common.documents import read_document
from common.errors import DataError
from common.faces.source import FaceSource
from common.files import write_json

_CLOSED = ConfigDict(strict=True, extra="forbid")
SELECTION = "ledger/subset.json"  # of the cache folder; at its top Zarr clients would take it for an array


@with_config(_CLOSED)
class Faces(TypedDict):
    """What a selection was made of: how many samples of how many people."""

    samples: int
    identities: int


@with_config(_CLOSED)
class Selection(TypedDict):
    """The file: the manifest's SHA-256 of the cache it was cut from, and the samples chosen, rising."""

    parent: str
    faces: Faces
    samples: Annotated[list[Annotated[int, Field(ge=0, lt=1 << 62)]], Field(min_length=1)]


class SubsetSource(FaceSource):
    """The chosen samples of another source, in its order; labels are 0..C-1 in the order of the people chosen."""

    def __init__(self, whole: FaceSource, samples: np.ndarray) -> None:
        """samples: int (n,), rising numbers of the whole."""
        super().__init__(whole.path, whole.labels[samples], whole.found, whole.fit)
        self.whole, self.samples = whole, samples
        self.kind = f"subset of {whole.kind}"

    @classmethod
    def open(cls, cache: Path, whole: FaceSource) -> "SubsetSource":
        """The people of a cache that was cut out. Raises DataError for a damaged selection or one of another set."""
        path = cache / SELECTION
        if not path.exists():
            raise DataError(
                f"{path}: no such selection of people: make it with `python -m cache subset`, or set faces.subset"
            )
        selection = read_document(path, Selection, DataError, "make the subset again")
        made_of, samples = selection["faces"], np.array(selection["samples"], np.int64)
        found = {"samples": len(whole), "identities": whole.num_classes}
        if made_of != found:
            raise DataError(
                f"{path}: selects from {made_of['samples']} samples of {made_of['identities']} people, "
                f"{whole.path} has {found['samples']} of {found['identities']}: set the faces.path it was made of"
            )
        if samples.max() >= len(whole):
            raise DataError(f"{path}: sample {samples.max()} is not in 0..{len(whole) - 1}: make the subset again")
        if (np.diff(samples) <= 0).any():
            raise DataError(f"{path}: its samples do not rise: make the subset again")
        return cls(whole, samples)

    def save(self, cache: Path, parent: str) -> None:
        """Write the selection into a cache. parent: SHA-256 of the manifest of the cache it was cut from."""
        faces = {"samples": len(self.whole), "identities": self.whole.num_classes}
        write_json(cache / SELECTION, {"parent": parent, "faces": faces, "samples": self.samples.tolist()})

    def number(self, sample: int) -> int:
        return self.whole.number(int(self.samples[sample]))

    def numbering(self) -> str:
        return hashlib.sha256(self.samples.astype("<i8").tobytes()).hexdigest()

    def jpeg(self, sample: int) -> bytes:
        return self.whole.jpeg(int(self.samples[sample]))

    def announce(self, samples: np.ndarray) -> None:
        self.whole.announce(self.samples[samples])

    def stretches(self, samples: np.ndarray) -> list[Stretch]:
        return self.whole.stretches(self.samples[samples])

    def name(self, sample: int) -> str:
        return self.whole.name(int(self.samples[sample]))

    @cached_property
    def people(self) -> list[str]:
        """The names these people have in the whole."""
        return [self.whole.people[label] for label in np.unique(self.whole.labels[self.samples])]
