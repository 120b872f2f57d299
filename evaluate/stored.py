"""Embeddings kept on disk: compute once, measure as often as you like.

    FOLDER/MODEL/SET.npz      format `npz`: one file a set
    FOLDER/MODEL/SET/         format `zarr`: FOLDER is one Zarr v3 hierarchy, each set a group in it

Both hold `rows` (N,D) float32, `norms` (N,) float32, whether rows hold the mirror image (`flip`), and what the faces
are called where that is known (`names`). Neither is compressed: a file cannot ask for more memory than it has bytes.
"""

import hashlib
import json
import math
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from pydantic import BaseModel, NonNegativeInt, StrictBool

from common.documents import read_document
from common.embeddings import Embeddings
from common.errors import DataError, UserError
from common.files import replacing
from common.text import file_name

Format = Literal["npz", "zarr"]
_ANEW = "embed the set again"
_ARRAYS = ("rows", "norms")


class GroupAttributes(BaseModel):
    """What a set's group says of its arrays."""

    flip: StrictBool
    sha256: str
    names: list[str] | None = None


class GroupDocument(BaseModel):
    """zarr.json of a set's group, as far as it is read."""

    node_type: Literal["group"]
    attributes: GroupAttributes


class ChunkShape(BaseModel):
    """How an array is cut."""

    chunk_shape: list[int]


class ChunkGrid(BaseModel):
    """A regular grid of chunks."""

    name: Literal["regular"]
    configuration: ChunkShape


class ArrayDocument(BaseModel):
    """zarr.json of `rows` or `norms`, as far as it is read: one uncompressed chunk of float32."""

    node_type: Literal["array"]
    data_type: Literal["float32"]
    shape: list[NonNegativeInt]
    chunk_grid: ChunkGrid
    codecs: list[dict[str, Any]]


@dataclass(frozen=True)
class EmbeddingStore:
    """Where embeddings of models are kept, and how. A folder called `*.zarr` is always Zarr."""

    folder: Path
    format: Format

    @classmethod
    def at(cls, folder: Path, format: Format | None = None) -> "EmbeddingStore":
        """The store at `folder`, in the format its name says, else `npz`. Raises UserError if the two disagree."""
        if folder.suffix == ".zarr" and format == "npz":
            raise UserError(f"{folder}: a folder called .zarr does not hold npz files; leave out --format")
        return cls(folder, format or ("zarr" if folder.suffix == ".zarr" else "npz"))

    def save(self, model: str, set_name: str, embedded: Embeddings, flip: bool) -> None:
        """Keep one set's embeddings, in place of what was there."""
        where, set_name = self.folder / file_name(model), file_name(set_name)
        where.mkdir(parents=True, exist_ok=True)
        if self.format == "npz":
            save_embeddings(where / f"{set_name}.npz", embedded, flip)
            return
        for level in (self.folder, where):
            zarr.open_group(level, mode="a")
        _save_group(where / set_name, embedded, flip)


@dataclass(frozen=True)
class StoredEmbeddings:
    """A model's folder in a store: takes the model's place in evaluation."""

    folder: Path

    def of(self, set_name: str) -> tuple[Embeddings, bool]:
        """Embeddings of one set, and whether they hold mirror images."""
        return load_embeddings(self.path(set_name))

    def path(self, set_name: str) -> Path:
        """Where a set's embeddings lie."""
        group = self.folder / file_name(set_name)
        return group if group.is_dir() else self.folder / f"{group.name}.npz"

    @staticmethod
    def lie_in(folder: Path) -> bool:
        """Whether a folder holds any."""
        return any(folder.glob("*.npz")) or any(folder.glob("*/rows/zarr.json"))


def save_embeddings(path: str | os.PathLike[str], embedded: Embeddings, flip: bool) -> None:
    """Write an `.npz` with `rows`, `norms`, `flip` and maybe `names`. Atomic."""
    arrays: dict[str, Any] = {"rows": embedded.rows, "norms": embedded.norms, "flip": np.array(flip)}
    if embedded.names is not None:
        arrays["names"] = np.array(embedded.names, str)
    with replacing(Path(path)) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **arrays)


def load_embeddings(path: str | os.PathLike[str]) -> tuple[Embeddings, bool]:
    """Embeddings of an `.npz` or a Zarr group, and whether they hold the mirror image.

    Raises DataError naming the path and the reason: missing, damaged, of other shapes, NaN or infinity.
    """
    path = Path(path)
    try:
        embedded, flip = _load_group(path) if path.is_dir() else _load_npz(path)
    except DataError:
        raise
    except Exception as error:
        # A damaged zip directory gives half a dozen kinds of error, damaged headers and Zarr metadata others.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: no stored embeddings, or damaged ones: {reason}: embed the set again") from error
    rows, norms, names = embedded.rows, embedded.norms, embedded.names
    if rows.ndim != 2 or rows.dtype != np.float32 or norms.shape != (len(rows),) or norms.dtype != np.float32:
        raise DataError(f"{path}: rows {rows.dtype} {rows.shape} with norms {norms.shape} are no stored embeddings")
    if not (np.isfinite(rows).all() and np.isfinite(norms).all()):
        raise DataError(f"{path}: the stored embeddings hold NaN or infinity")
    if names is not None and len(names) != len(rows):
        raise DataError(f"{path}: {len(names)} names for {len(rows)} rows; embed the set again")
    return embedded, flip


def _load_npz(path: Path) -> tuple[Embeddings, bool]:
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: not a regular file; give stored embeddings")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise DataError(f"{path}: {info.filename[:60]} is compressed; store embeddings with numpy.savez")
    with np.load(path, allow_pickle=False) as stored:
        others = set(stored.files) - {*_ARRAYS, "flip", "names"}
        if others:
            raise DataError(f"{path}: holds {min(others)[:60]!r} beside rows, norms, flip and names; {_ANEW}")
        names = tuple(map(str, stored["names"].tolist())) if "names" in stored else None
        return Embeddings(stored["rows"], stored["norms"], names), bool(stored["flip"])


def _save_group(path: Path, embedded: Embeddings, flip: bool) -> None:
    making = path.with_name(f".{path.name}.{os.getpid()}.creating")
    shutil.rmtree(making, ignore_errors=True)
    group = zarr.create_group(making)
    for name, array in (("rows", embedded.rows), ("norms", embedded.norms)):
        group.create_array(name, data=np.ascontiguousarray(array, np.float32), chunks=array.shape, compressors=None)
    # Zarr reads a missing chunk as zeros and notices no flipped bit.
    names = None if embedded.names is None else list(embedded.names)
    group.attrs.update({"flip": flip, "names": names, "sha256": _digest(embedded, flip)})
    shutil.rmtree(path, ignore_errors=True)
    making.rename(path)


def _load_group(path: Path) -> tuple[Embeddings, bool]:
    about = read_document(path / "zarr.json", GroupDocument, DataError, _ANEW).attributes
    odd = next((part for part in path.rglob("*") if not part.is_file() and not part.is_dir()), None)
    if odd is not None:
        raise DataError(f"{odd}: not a regular file: {_ANEW}")
    documents = {name: read_document(path / name / "zarr.json", ArrayDocument, DataError, _ANEW) for name in _ARRAYS}
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    for name, document in documents.items():
        claimed = 4 * math.prod(document.shape)
        if claimed > on_disk:
            raise DataError(f"{path}: /{name} claims {claimed:,} bytes, the folder has {on_disk:,}")
        if document.chunk_grid.configuration.chunk_shape != document.shape or len(document.codecs) != 1:
            raise DataError(f"{path}: /{name} is not one plain chunk, as embeddings are stored here")
    group = zarr.open_group(path, mode="r", zarr_format=3)
    arrays: list[Any] = [group[name] for name in _ARRAYS]
    rows, norms = (np.asarray(array[...]) for array in arrays)
    embedded = Embeddings(rows, norms, None if about.names is None else tuple(about.names))
    if _digest(embedded, about.flip) != about.sha256:
        raise DataError(f"{path}: the stored embeddings are damaged (their SHA-256 is another); {_ANEW}")
    return embedded, about.flip


def _digest(embedded: Embeddings, flip: bool) -> str:
    rows, norms = embedded.rows, embedded.norms
    digest = hashlib.sha256(f"{rows.dtype} {rows.shape} {norms.dtype} {norms.shape} {flip}".encode())
    for array in (rows, norms):
        digest.update(np.ascontiguousarray(array).data)
    if embedded.names is not None:
        digest.update(json.dumps(embedded.names).encode())
    return digest.hexdigest()
