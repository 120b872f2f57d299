"""The teacher cache on disk: its arrays, its units of work, and the manifest that binds it to its inputs.

A cache is a Zarr v3 group (docs/cache-format.md). A unit of work is one view of one shard of rows; whoever computes
a unit writes its whole shard of every array in one call, so no two writers ever meet in a file.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from common.errors import CacheError
from common.sources import FaceSource

FORMAT = 1
MANIFEST = "teacher_cache"

# What must agree before a build goes on in a store, and what a student must agree with.
BINDS_BUILD = ("format", "teacher", "faces", "views", "decoder", "libraries", "runtime", "layout")
BINDS_STUDENT = ("faces", "views", "decoder")


@dataclass(frozen=True)
class Unit:
    """One view of one shard of rows [start, stop)."""

    view: int
    shard: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"view{self.view}-shard{self.shard:05d}"


@dataclass(frozen=True)
class Layout:
    """Sizes of a cache: V views, N samples, D embedding width, C classes, and how rows are cut."""

    views: int
    samples: int
    dim: int
    classes: int
    dtype: str
    shard_rows: int
    chunk_rows: int

    @property
    def shards(self) -> int:
        return -(-self.samples // self.shard_rows)

    def units(self) -> Iterator[Unit]:
        """All units in the order they are written down: view by view, shard by shard."""
        for view in range(self.views):
            for shard in range(self.shards):
                start = shard * self.shard_rows
                yield Unit(view, shard, start, min(start + self.shard_rows, self.samples))

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of a finished store, without metadata and checksums: what the disk must hold."""
        row = self.dim * np.dtype(self.dtype).itemsize + 3 * 4
        whole_shards = self.shards * self.shard_rows
        return self.views * whole_shards * row + whole_shards * 4 + self.classes * (self.dim + 1) * 4


def create(path: Path, layout: Layout, manifest: Mapping[str, Any], labels: np.ndarray) -> None:
    """Make an empty, unsealed cache with its labels; it appears under its name only when it is complete.

    labels: int32 (N,). Raises CacheError when something else stands at `path`.
    """
    if path.exists():
        raise CacheError(f"{path}: exists and is no teacher cache: choose another cache.path or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}.creating")
    shutil.rmtree(making, ignore_errors=True)
    group = zarr.create_group(making)
    _create_arrays(group, layout)
    open_arrays(making, writable=True)["label"][:] = labels
    group.create_group("ledger")
    group.attrs[MANIFEST] = {**manifest, "layout": asdict(layout), "created": _now(), "sealed": None}
    os.rename(making, path)


def _create_arrays(group: zarr.Group, layout: Layout) -> None:
    views, samples, dim = layout.views, layout.samples, layout.dim
    shard, chunk = layout.shard_rows, layout.chunk_rows
    nan = float("nan")

    def array(name: str, shape: tuple, dtype: str, fill: Any, chunks: tuple, shards: tuple) -> None:
        group.create_array(
            name, shape=shape, dtype=dtype, fill_value=fill, chunks=chunks, shards=shards, compressors=[Crc32cCodec()]
        )

    array("embedding", (views, samples, dim), layout.dtype, nan, (1, chunk, dim), (1, shard, dim))
    array("norm", (views, samples), "float32", nan, (1, chunk), (1, shard))
    array("confidence", (views, samples), "float32", nan, (1, chunk), (1, shard))
    array("pixels", (views, samples), "uint32", 0, (1, chunk), (1, shard))
    array("label", (samples,), "int32", -1, (chunk,), (shard,))
    array("center", (layout.classes, dim), "float32", nan, (layout.classes, dim), (layout.classes, dim))
    array("count", (layout.classes,), "int32", -1, (layout.classes,), (layout.classes,))


def _now() -> str:
    """Time of creation; SOURCE_DATE_EPOCH fixes it, so that equal builds can be equal bytes."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a cache. Raises CacheError when there is none, or it is of another format."""
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        manifest = attributes[MANIFEST]
    except FileNotFoundError:
        raise CacheError(f"{path}: no teacher cache there: build it with `make cache-teacher`") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CacheError(
            f"{path}/zarr.json: no manifest of a teacher cache ({error!r}): build the cache again"
        ) from None
    if manifest.get("format") != FORMAT:
        raise CacheError(
            f"{path}: cache format {manifest.get('format')!r}, this program reads {FORMAT}: build it again"
        )
    return manifest


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest of an existing cache, atomically."""
    zarr.open_group(path, mode="r+").attrs[MANIFEST] = dict(manifest)


def describe_faces(source: FaceSource) -> dict[str, Any]:
    """What binds a cache to its faces, for the manifest."""
    return {
        "kind": source.kind,
        "samples": len(source),
        "identities": source.num_classes,
        "fingerprint": source.fingerprint(),
    }


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """The Layout a manifest describes."""
    return Layout(**manifest["layout"])


def open_arrays(path: Path, writable: bool = False) -> dict[str, Any]:
    """The Zarr arrays of an existing cache by name."""
    return dict(zarr.open_group(path, mode="r+" if writable else "r").arrays())


def refuse_difference(path: Path, manifest: Mapping[str, Any], wanted: Mapping[str, Any], fields: tuple) -> None:
    """Raise CacheError naming every field in which a cache is not what is wanted, with both values."""
    differences = [line for field in fields for line in _differences(field, manifest.get(field), wanted.get(field))]
    if differences:
        raise CacheError(
            f"{path}: this cache was made from something else: {'; '.join(differences)}. "
            "Use the inputs it was made from, or set another cache.path and run `make cache-teacher`"
        )


def _differences(name: str, have: Any, want: Any) -> Iterator[str]:
    if isinstance(have, dict) and isinstance(want, dict):
        for key in sorted({*have, *want}):
            yield from _differences(f"{name}.{key}", have.get(key), want.get(key))
    elif _plain(have) != _plain(want):
        yield f"{name} is {have!r} in the cache and {want!r} now"


def _plain(value: Any) -> Any:
    """Tuples and lists are one thing in JSON."""
    return json.loads(json.dumps(value))
