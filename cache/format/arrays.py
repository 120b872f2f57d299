"""The teacher cache on disk: its Zarr group and the manifest that binds it to its inputs.

A cache is a Zarr v3 group (docs/cache-format.md). A unit of work is one view of one shard of rows; whoever computes
a unit writes its whole shard of every array, so no two writers ever meet in a file.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cache.format.layout import Layout
from cache.format.metadata import write_metadata
from cache.format.schema import HeadedGroup, RootGroup
from cache.format.shards import MEND, parse_shard, shard_bytes, write_shard
from common.documents import parse_document, read_regular
from common.errors import CacheError
from common.faces import FaceSource
from common.files import make_fresh, sha256_of, sync, sync_tree, write_json
from common.models import identity_of

FORMAT = 3
MANIFEST = "teacher_cache"

# What must agree before a build goes on in a store, and what a student must agree with.
# How the teacher and the faces are called and packed is told, not bound; see `bound`.
BINDS_BUILD = ("format", "teacher", "faces", "views", "decoder", "layout", "confidence")
BINDS_STUDENT = ("faces", "views", "decoder")


def create_cache(path: Path, layout: Layout, manifest: Mapping[str, Any], labels: np.ndarray) -> None:
    """Make an empty, unsealed cache with its labels; it appears under its name only when it is complete.

    labels: int32 (N,). Raises CacheError when something else stands at `path`.
    """
    if os.path.lexists(path):
        raise CacheError(f"{path}: exists and is no teacher cache: choose another cache.path or remove it")
    # One name, which the holder of the cache's lock alone uses: what a kill left of it is made anew.
    making = path.with_name(f".{path.name}.creating")
    write_empty(making, layout, manifest, labels)
    try:
        os.rename(making, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(making)  # another machine was quicker, and this one's disk shows late what others have made
    sync(path.parent)


def write_empty(path: Path, layout: Layout, manifest: Mapping[str, Any], labels: np.ndarray) -> None:
    """Write an empty, unsealed cache into a folder that is emptied first. Its ledger binds the labels already."""
    make_fresh(path)
    write_metadata(path, layout)
    write_rows(path, layout, "label", labels)
    files = {name: entry(path / name) for name in layout.shard_files("label")}
    write_group(path / "ledger", {"files": files, "skipped": {}, "runtimes": [], "units": {}})
    write_manifest(path, {**manifest, "created": _now(), "sealed": None})
    sync_tree(path)


def entry(file: Path) -> dict[str, Any]:
    """What the ledger keeps of one file."""
    return {"bytes": file.stat().st_size, "sha256": sha256_of(file)}


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


def read_rows(path: Path, layout: Layout, name: str) -> np.ndarray:
    """The whole of an array that all views share. Raises CacheError as `read_part`."""
    return np.concatenate([read_part(path, layout, name, 0, shard) for shard in range(len(layout.shard_files(name)))])


def read_labels(path: Path, layout: Layout) -> np.ndarray:
    """int32 (N,), the class of every sample, all of 0..C-1. Raises CacheError as `read_part`, and for other labels."""
    labels = read_rows(path, layout, "label")
    strange = labels[(labels < 0) | (labels >= layout.classes)]
    if len(strange):
        raise CacheError(f"{path}/label: {strange[0]} is no class of 0..{layout.classes - 1}: build the cache again")
    return labels


def read_part(path: Path, layout: Layout, name: str, view: int, shard: int) -> np.ndarray:
    """The rows of one shard, (n, width) or (n,). Raises CacheError when it is missing or not as it was written."""
    array = layout.arrays[name]
    file, rows = path / array.file(view, shard), layout.rows_of(array, shard)
    largest = shard_bytes(rows, array.row_bytes, layout.shard_rows, layout.chunk_rows)
    content = read_regular(file, CacheError, MEND, largest)
    return parse_shard(content, file, array.dtype, array.width, rows, layout.shard_rows, layout.chunk_rows)


def _now() -> str:
    """Time of creation; SOURCE_DATE_EPOCH fixes it, so that equal builds can be equal bytes."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a cache. Raises CacheError when there is none, or it is damaged or of another format."""
    file, remedy = path / "zarr.json", "build the cache again"
    if not file.exists():
        raise CacheError(f"{path}: no teacher cache there: build it with `make cache-teacher`")
    content = read_regular(file, CacheError, remedy)
    found = parse_document(content, HeadedGroup, f"{file}", CacheError, remedy)["attributes"]["teacher_cache"]["format"]
    if found != FORMAT:
        raise CacheError(f"{path}: cache format {found}, this program reads {FORMAT}: build it again")
    root = parse_document(content, RootGroup, f"{file}", CacheError, remedy)
    manifest: dict[str, Any] = {**root["attributes"]["teacher_cache"]}
    layout, faces, views = (manifest[name] for name in ("layout", "faces", "views"))
    sizes = {"samples": faces["samples"], "classes": faces["identities"], "views": views["count"]}
    for name, size in sizes.items():
        if layout[name] != size:
            raise CacheError(f"{file}: damaged: layout.{name} {layout[name]}, faces and views {size}: {remedy}")
    if layout["shard_rows"] % layout["chunk_rows"]:
        raise CacheError(f"{file}: damaged: layout.shard_rows is no multiple of layout.chunk_rows: {remedy}")
    for sample in (manifest["sealed"] or {}).get("skipped", {}):
        if int(sample) >= layout["samples"]:
            raise CacheError(f"{file}: damaged: sealed.skipped has sample {sample} of {layout['samples']}: {remedy}")
    return manifest


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest of a cache, atomically."""
    write_group(path, {MANIFEST: dict(manifest)})


def write_group(group: Path, attributes: Mapping[str, Any]) -> None:
    """Replace the metadata of a Zarr group; after a power cut they are the old ones or the new ones."""
    write_json(group / "zarr.json", {"attributes": dict(attributes), "node_type": "group", "zarr_format": 3})


def describe_faces(source: FaceSource) -> dict[str, Any]:
    """What binds a cache to its faces, for the manifest, and how they were packed; `fit` only where they are fitted,
    `aligner` only where somebody says how they were aligned."""
    fit = {} if source.fit is None else {"fit": str(source.fit)}
    aligner = {} if source.aligner is None else {"aligner": source.aligner}
    return {
        "kind": source.kind,
        "samples": len(source),
        "identities": source.num_classes,
        "fingerprint": source.fingerprint(),
        "numbers": source.numbering(),
        **fit,
        **aligner,
    }


def bound(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest, or a part of one, without what does not make it another cache: where the teacher's weights came from
    and how the faces were packed."""
    kept = dict(manifest)
    if "teacher" in kept:
        kept["teacher"] = identity_of(kept["teacher"])
    if "faces" in kept:
        kept["faces"] = {name: value for name, value in kept["faces"].items() if name != "kind"}
    return kept


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """The Layout a manifest describes."""
    return Layout(**manifest["layout"])


def refuse_difference(
    path: Path, manifest: Mapping[str, Any], wanted: Mapping[str, Any], fields: tuple[str, ...]
) -> None:
    """Raise CacheError naming every bound field in which a cache is not what is wanted, with both values."""
    have, wanted = bound(manifest), bound(wanted)
    refuse_values(path, {field: have.get(field) for field in fields}, {field: wanted.get(field) for field in fields})


def refuse_teacher(path: Path, recorded: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise CacheError naming every field in which what is known of a teacher is not what the manifest records."""
    refuse_values(path, {"teacher": {field: recorded.get(field) for field in known}}, {"teacher": known})


def refuse_values(path: Path, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise CacheError naming every value in which a cache is not what is wanted, with both."""
    found = [difference for field in wanted for difference in differences(field, have.get(field), wanted[field])]
    if not found:
        return
    said = "; ".join(f"{name} is {have!r} in the cache and {want!r} now" for name, have, want in found)
    way_out = "Use the inputs it was made from, or set another cache.path and run `make cache-teacher`"
    if all(name in ("views.count", "layout.views") and want > have for name, have, want in found):
        way_out += "; more views of the same kind are added by `python -m cache append`"
    raise CacheError(f"{path}: this cache was made from something else: {said}. {way_out}")


def differences(name: str, have: Any, want: Any) -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, one, other) of every value in which two JSON-able values called `name` differ."""
    if isinstance(have, dict) and isinstance(want, dict):
        for key in sorted({*have, *want}):
            yield from differences(f"{name}.{key}", have.get(key), want.get(key))
    elif _plain(have) != _plain(want):
        yield name, have, want


def _plain(value: Any) -> Any:
    """Tuples and lists are one thing in JSON."""
    return json.loads(json.dumps(value))
