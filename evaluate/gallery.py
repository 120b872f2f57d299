"""A searchable gallery with a name a row: exact, or approximate with its recall measured; saved and opened again."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from pydantic import BaseModel, ConfigDict

from common.documents import read_document
from common.errors import DataError, UserError
from common.files import replacing, sha256_of, write_json
from evaluate.protocols import checked_rows, search

KINDS = ("exact", "ivf", "hnsw")
INDEX, NAMES, ABOUT = "gallery.faiss", "names.json", "gallery.json"


_ANEW = "save the gallery again"


class FileSeal(BaseModel):
    """Size and digest of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bytes: int
    sha256: str


class About(BaseModel):
    """gallery.json; its own `sha256` is of all the rest."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    recall: float
    rows: int
    dim: int
    files: dict[str, FileSeal]
    sha256: str


@dataclass(frozen=True)
class GalleryIndex:
    """A searchable gallery with a name a row, which can be saved and opened again.

    `recall` is the share of the exact k nearest that the index finds, measured on gallery rows when it was built;
    1 for exact.
    """

    index: faiss.Index
    names: list[str]
    kind: str
    recall: float

    @classmethod
    def build(cls, gallery: np.ndarray, names: list[str], kind: str = "exact", seed: int = 0) -> "GalleryIndex":
        """Index unit rows (G,D). kind: `exact`, `ivf` (inverted lists, compact) or `hnsw` (graph, faster, larger)."""
        rows = checked_rows(gallery, "gallery")
        if len(names) != len(rows) or not len(rows):
            raise DataError(f"{len(names)} names for {len(rows)} gallery rows")
        index = _empty_index(kind, len(rows), rows.shape[1], seed)
        if not index.is_trained:
            index.train(rows)
        index.add(rows)
        return cls(index, list(names), kind, 1.0 if kind == "exact" else _recall(index, rows, seed))

    def search(self, probes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`; an approximate index marks places it could not fill with index -1."""
        probes = checked_rows(probes, "probe")
        if probes.shape[1] != self.index.d:
            raise DataError(f"the gallery index has {self.index.d} dimensions, the probes {probes.shape[1]}")
        return self.index.search(probes, min(max(k, 1), len(self.names)))

    def save(self, folder: str | os.PathLike) -> None:
        """Write `gallery.faiss`, `names.json`, and `gallery.json`, which holds the size and SHA-256 of both.

        gallery.json is written last: after an interruption the old one does not fit the new files, and `open` says so.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / INDEX) as unfinished:
            try:
                faiss.write_index(self.index, str(unfinished))
            except RuntimeError as error:
                raise UserError(f"{folder / INDEX}: cannot be written: {str(error).splitlines()[-1]}") from error
        write_json(folder / NAMES, self.names)
        about: dict[str, Any] = {"kind": self.kind, "recall": self.recall, "rows": len(self.names), "dim": self.index.d}
        about["files"] = {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in (INDEX, NAMES)
        }
        write_json(folder / ABOUT, about | {"sha256": _digest(about)})

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "GalleryIndex":
        """A saved gallery. Raises DataError if it is missing, damaged, or its files do not belong together.

        FAISS reads with its own code, which may end the process on damaged bytes or ask for any amount of memory, so
        it sees the file only after its size and SHA-256 were found right.
        """
        folder = Path(folder)
        about = _read_about(folder / ABOUT)
        for name in (INDEX, NAMES):
            if name not in about.files:
                raise DataError(f"{folder / ABOUT}: says nothing of {name}; {_ANEW}")
            _check_file(folder / name, about.files[name])
        names = read_document(folder / NAMES, list[str], DataError, _ANEW)
        try:
            index = faiss.read_index(str(folder / INDEX))
        except RuntimeError as error:
            raise DataError(f"{folder / INDEX}: damaged: {str(error).splitlines()[-1]}: {_ANEW}") from error
        if (index.ntotal, index.d) != (about.rows, about.dim) or len(names) != about.rows:
            raise DataError(
                f"{folder}: {ABOUT} says {about.rows} rows of {about.dim} dimensions, {INDEX} holds "
                f"{index.ntotal} of {index.d}, {NAMES} names {len(names)}; {_ANEW}"
            )
        return cls(index, names, about.kind, about.recall)


def _read_about(path: Path) -> About:
    about = read_document(path, About, DataError, f"no saved gallery, or a damaged one: {_ANEW}")
    if _digest(about.model_dump(exclude={"sha256"})) != about.sha256:
        raise DataError(f"{path}: damaged (its SHA-256 is another); {_ANEW}")
    return about


def _check_file(path: Path, expected: FileSeal) -> None:
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            raise DataError(f"{path}: {size:,} bytes, {ABOUT} says {expected.bytes:,}; {_ANEW}")
        if sha256_of(path) != expected.sha256:
            raise DataError(f"{path}: damaged, or of another gallery: its SHA-256 is not that of {ABOUT}")
    except OSError as error:
        raise DataError(f"{path}: the gallery's file cannot be read: {error.strerror}") from error


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _empty_index(kind: str, rows: int, dim: int, seed: int) -> faiss.Index:
    if kind == "exact":
        return faiss.IndexFlatIP(dim)
    if kind == "ivf":
        # FAISS's own advice: lists about 4 sqrt(rows); a sixteenth of them probed.
        lists = int(max(1, min(4 * np.sqrt(rows), rows // 39)))
        inverted = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        inverted.nprobe = max(1, lists // 16)
        inverted.cp.seed = seed + 1
        return inverted
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 100, 128
        return graph
    raise UserError(f"gallery index kind {kind!r}: choose one of {', '.join(KINDS)}")


def _recall(index: faiss.Index, rows: np.ndarray, seed: int, k: int = 10, samples: int = 1000) -> float:
    """Share of the exact k nearest found, for sampled gallery rows moved a little (a probe never equals its mate)."""
    generator = np.random.Generator(np.random.Philox(seed))
    chosen = generator.choice(len(rows), min(samples, len(rows)), replace=False)
    probes = (
        rows[chosen] + generator.standard_normal((len(chosen), rows.shape[1]), np.float32) * 0.5 / rows.shape[1] ** 0.5
    )
    k = min(k, len(rows))
    found, exact = index.search(probes, k)[1], search(rows, probes, k)[1]
    return float(np.mean([len(np.intersect1d(one, other)) / k for one, other in zip(found, exact, strict=True)]))
