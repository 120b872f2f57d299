"""Embeddings kept on disk: compute once, measure as often as you like.

    FOLDER/MODEL/SET.npz      format `npz`: one file a set
    FOLDER/MODEL/SET/         format `zarr`: FOLDER is one Zarr v3 hierarchy, each set a group in it

Both hold `rows` (N,D) float32, `norms` (N,) float32 and whether rows hold the mirror image (`flip`). Neither is
compressed: a file cannot ask for more memory than it has bytes.
"""

import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr

from common.errors import DataError, UserError
from common.files import replacing
from common.text import file_name
from evaluate.embed import Embeddings

Format = Literal["npz", "zarr"]


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


def save_embeddings(path: str | os.PathLike, embedded: Embeddings, flip: bool) -> None:
    """Write an `.npz` with `rows`, `norms` and `flip`. Atomic."""
    with replacing(Path(path)) as unfinished, unfinished.open("wb") as file:
        np.savez(file, rows=embedded.rows, norms=embedded.norms, flip=np.array(flip))


def load_embeddings(path: str | os.PathLike) -> tuple[Embeddings, bool]:
    """Embeddings of an `.npz` or a Zarr group, and whether they hold the mirror image.

    Raises DataError naming the path and the reason: missing, damaged, of other shapes, NaN or infinity.
    """
    path = Path(path)
    try:
        rows, norms, flip = _load_group(path) if path.is_dir() else _load_npz(path)
    except DataError:
        raise
    except Exception as error:
        # A damaged zip directory gives half a dozen kinds of error, damaged headers and Zarr metadata others.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: no stored embeddings, or damaged ones: {reason}: embed the set again") from error
    if rows.ndim != 2 or rows.dtype != np.float32 or norms.shape != (len(rows),) or norms.dtype != np.float32:
        raise DataError(f"{path}: rows {rows.dtype} {rows.shape} with norms {norms.shape} are no stored embeddings")
    if not (np.isfinite(rows).all() and np.isfinite(norms).all()):
        raise DataError(f"{path}: the stored embeddings hold NaN or infinity")
    return Embeddings(rows, norms), flip


def _load_npz(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: not a regular file; give stored embeddings")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED:
                raise DataError(f"{path}: {info.filename[:60]} is compressed; store embeddings with numpy.savez")
    with np.load(path, allow_pickle=False) as stored:
        return stored["rows"], stored["norms"], bool(stored["flip"])


def _save_group(path: Path, embedded: Embeddings, flip: bool) -> None:
    making = path.with_name(f".{path.name}.{os.getpid()}.creating")
    shutil.rmtree(making, ignore_errors=True)
    group = zarr.create_group(making)
    for name, array in (("rows", embedded.rows), ("norms", embedded.norms)):
        group.create_array(name, data=np.ascontiguousarray(array, np.float32), chunks=array.shape, compressors=None)
    # Zarr reads a missing chunk as zeros and notices no flipped bit.
    group.attrs.update({"flip": flip, "sha256": _digest(embedded.rows, embedded.norms, flip)})
    shutil.rmtree(path, ignore_errors=True)
    making.rename(path)


def _load_group(path: Path) -> tuple[np.ndarray, np.ndarray, bool]:
    group = zarr.open_group(path, mode="r", zarr_format=3)
    on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    arrays: list[Any] = [group["rows"], group["norms"]]
    for array in arrays:
        if array.nbytes > on_disk:
            raise DataError(f"{path}: {array.name} claims {array.nbytes:,} bytes, the folder has {on_disk:,}")
        if array.chunks != array.shape or [codec["name"] for codec in array.metadata.to_dict()["codecs"]] != ["bytes"]:
            raise DataError(f"{path}: {array.name} is not one plain chunk, as embeddings are stored here")
    rows, norms = (np.asarray(array[...]) for array in arrays)
    flip = group.attrs["flip"] is True
    if _digest(rows, norms, flip) != group.attrs["sha256"]:
        raise DataError(f"{path}: the stored embeddings are damaged (their SHA-256 is another); embed the set again")
    return rows, norms, flip


def _digest(rows: np.ndarray, norms: np.ndarray, flip: bool) -> str:
    digest = hashlib.sha256(f"{rows.dtype} {rows.shape} {norms.dtype} {norms.shape} {flip}".encode())
    for array in (rows, norms):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
