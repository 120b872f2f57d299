"""The teacher cache on disk: its Zarr group and the manifest that binds it to its inputs.

A cache is a Zarr v3 group (docs/cache-format.md). A unit of work is one view of one shard of rows; whoever computes
a unit writes its whole shard of every array, so no two writers ever meet in a file.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from cache.layout import Layout
from cache.shards import write_shard
from common.errors import CacheError
from common.files import write_json
from common.identity import identity
from common.sources import FaceSource

FORMAT = 3
MANIFEST = "teacher_cache"

# What must agree before a build goes on in a store, and what a student must agree with.
# How the teacher and the faces are called and packed is told, not bound; see `bound`.
BINDS_BUILD = ("format", "teacher", "faces", "views", "decoder", "layout", "confidence")
BINDS_STUDENT = ("faces", "views", "decoder")


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
    for array in layout.arrays.values():
        group.create_array(
            array.name,
            shape=array.shape,
            dtype=array.dtype,
            fill_value=array.fill,
            chunks=array.blocks(layout.chunk_rows),
            shards=array.blocks(layout.shard_rows),
            compressors=[Crc32cCodec()],
        )
    write_rows(making, layout, "label", labels)
    group.create_group("ledger")
    group.attrs[MANIFEST] = {**manifest, "created": _now(), "sealed": None}
    os.rename(making, path)


def write_rows(path: Path, layout: Layout, name: str, values: np.ndarray) -> None:
    """Write the whole of an array that all views share (label, center, count), shard by shard."""
    array = layout.arrays[name]
    for shard, start in enumerate(range(0, array.rows, layout.shard_rows)):
        write_part(path, layout, name, 0, shard, values[start : start + layout.shard_rows])


def write_part(path: Path, layout: Layout, name: str, view: int, shard: int, values: np.ndarray) -> None:
    """Write one shard of an array. Raises CacheError when the disk is full."""
    array = layout.arrays[name]
    rows = values.astype(array.dtype, copy=False)
    write_shard(path / array.file(view, shard), rows, array.fill, layout.shard_rows, layout.chunk_rows)


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
    write_attributes(path, {MANIFEST: dict(manifest)})


def write_attributes(group: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the attributes of a Zarr group; after a power cut they are the old ones or the new ones."""
    file = group / "zarr.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    write_json(file, {**metadata, "attributes": dict(attributes)})


def describe_faces(source: FaceSource) -> dict[str, Any]:
    """What binds a cache to its faces, for the manifest, and how they were packed."""
    return {
        "kind": source.kind,
        "samples": len(source),
        "identities": source.num_classes,
        "fingerprint": source.fingerprint(),
        "numbers": source.numbering(),
    }


def bound(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest, or a part of one, without what does not make it another cache: where the teacher's weights came from
    and how the faces were packed."""
    kept = dict(manifest)
    if "teacher" in kept:
        kept["teacher"] = identity(kept["teacher"])
    if "faces" in kept:
        kept["faces"] = {name: value for name, value in kept["faces"].items() if name != "kind"}
    return kept


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """The Layout a manifest describes."""
    return Layout(**manifest["layout"])


def open_arrays(path: Path) -> dict[str, Any]:
    """The Zarr arrays of an existing cache by name, to read."""
    return dict(zarr.open_group(path, mode="r").arrays())


def refuse_difference(path: Path, manifest: Mapping[str, Any], wanted: Mapping[str, Any], fields: tuple) -> None:
    """Raise CacheError naming every bound field in which a cache is not what is wanted, with both values."""
    have, wanted = bound(manifest), bound(wanted)
    refuse_values(path, {field: have.get(field) for field in fields}, {field: wanted.get(field) for field in fields})


def refuse_teacher(path: Path, recorded: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise CacheError naming every field in which what is known of a teacher is not what the manifest records."""
    refuse_values(path, {"teacher": {field: recorded.get(field) for field in known}}, {"teacher": known})


def refuse_values(path: Path, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise CacheError naming every value in which a cache is not what is wanted, with both."""
    found = [difference for field in wanted for difference in _differences(field, have.get(field), wanted[field])]
    if not found:
        return
    said = "; ".join(f"{name} is {have!r} in the cache and {want!r} now" for name, have, want in found)
    way_out = "Use the inputs it was made from, or set another cache.path and run `make cache-teacher`"
    if all(name in ("views.count", "layout.views") and want > have for name, have, want in found):
        way_out += "; more views of the same kind are added by `python -m cache append`"
    raise CacheError(f"{path}: this cache was made from something else: {said}. {way_out}")


def _differences(name: str, have: Any, want: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(have, dict) and isinstance(want, dict):
        for key in sorted({*have, *want}):
            yield from _differences(f"{name}.{key}", have.get(key), want.get(key))
    elif _plain(have) != _plain(want):
        yield name, have, want


def _plain(value: Any) -> Any:
    """Tuples and lists are one thing in JSON."""
    return json.loads(json.dumps(value))
