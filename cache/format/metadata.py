"""The `zarr.json` of every array: they follow from the layout, byte for byte, so they are compared whole.

Another byte order, key encoding or codec in one of them would have any Zarr client read other numbers from the same
shards. `tests/cache/format/test_array_metadata.py` holds these documents to those that Zarr itself writes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cache.format.layout import Array, Layout
from common.documents import read_regular
from common.errors import CacheError
from common.files import json_text, write_json

_LITTLE: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC: dict[str, Any] = {"name": "crc32c"}


def array_document(layout: Layout, array: Array) -> dict[str, Any]:
    """The content of an array's zarr.json (Zarr v3 core specification; codec `sharding_indexed`)."""
    one_byte = np.dtype(array.dtype).itemsize == 1
    sharding = {
        "chunk_shape": list(array.blocks(layout.chunk_rows)),
        "codecs": [{"name": "bytes"} if one_byte else _LITTLE, _CRC],
        "index_codecs": [_LITTLE, _CRC],
        "index_location": "end",
    }
    return {
        "attributes": {},
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(array.blocks(layout.shard_rows))},
        },
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "data_type": array.dtype,
        "fill_value": "NaN" if np.isnan(array.fill) else int(array.fill),
        "node_type": "array",
        "shape": list(array.shape),
        "storage_transformers": [],
        "zarr_format": 3,
    }


def wrong_metadata(path: Path, layout: Layout) -> Iterator[str]:
    """One line for each array whose zarr.json is not the one that follows from the layout."""
    for array in layout.arrays.values():
        file = path / array.name / "zarr.json"
        wanted = json_text(array_document(layout, array)).encode()
        try:
            content = read_regular(file, CacheError, largest=len(wanted))
        except CacheError as error:
            yield str(error)
            continue
        if content != wanted:
            yield f"{file}: not the one that follows from the manifest's layout"


def write_metadata(path: Path, layout: Layout) -> None:
    """Give every array the zarr.json of a layout; those that have it are left alone."""
    for array in layout.arrays.values():
        file, document = path / array.name / "zarr.json", array_document(layout, array)
        if not _holds(file, json_text(document).encode()):
            write_json(file, document)


def _holds(file: Path, wanted: bytes) -> bool:
    try:
        return read_regular(file, CacheError, largest=len(wanted)) == wanted
    except CacheError:
        return False
