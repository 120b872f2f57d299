"""Evaluation sets, written as the published ones are: `.bin`, and Arrow shards with `metadata.pt` beside them.

What evaluate/files reads. A `.bin` pickles `(pictures, issame)`. The other layout is HuggingFace's
`datasets.save_to_disk`: `state.json` names Arrow IPC streams with the columns `image` and `index`, and the protocol's
arrays are a dictionary saved by torch.
"""

import itertools
import json
import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from common.errors import DataError
from common.files import replacing

PROTOCOL = "metadata.pt"
_BATCH = 256  # pictures in memory at a time


def write_bin(path: str | os.PathLike[str], pictures: Sequence[bytes], issame: Sequence[bool] | np.ndarray) -> None:
    """Write a set as plain bytes and bools, pickle protocol 4: every known reader takes it. Atomic."""
    if len(pictures) != 2 * len(issame):
        raise DataError(f"{path}: {len(pictures)} pictures for {len(issame)} pairs, expected {2 * len(issame)}")
    content = ([bytes(picture) for picture in pictures], [bool(same) for same in issame])
    with replacing(Path(path)) as unfinished:
        unfinished.write_bytes(pickle.dumps(content, protocol=4))


def write_arrow(
    folder: str | os.PathLike[str], pictures: Iterable[bytes], rows: int, rows_per_shard: int = 10_000
) -> None:
    """Write `rows` pictures (the i-th gets index i) as `datasets.load_from_disk` and `ArrowFaces` read them.

    Pictures are taken one by one, and 256 of them are in memory at a time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "index": {"dtype": "int64", "_type": "Value"}}
    schema = pa.schema(
        [("image", image), ("index", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    left = iter(pictures)
    starts = range(0, rows, rows_per_shard)
    names = [f"data-{number:05}-of-{len(starts):05}.arrow" for number in range(len(starts))]
    for name, start in zip(names, starts, strict=True):
        stop = min(start + rows_per_shard, rows)
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for first in range(start, stop, _BATCH):
                index = range(first, min(first + _BATCH, stop))
                part = [{"bytes": picture, "path": None} for picture in itertools.islice(left, len(index))]
                assert len(part) == len(index), f"{first + len(part)} pictures, {rows} were promised"
                columns = [pa.array(part, image), pa.array(index, pa.int64())]
                writer.write_batch(pa.record_batch(columns, schema=schema))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}, indent=1))
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "0" * 16, "_split": None}
    (folder / "state.json").write_text(json.dumps(state, indent=1))


def write_protocol(folder: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write `metadata.pt`: a dictionary of 1-D arrays, numbers or text (object), as the published sets have them."""
    import torch

    with replacing(Path(folder) / PROTOCOL) as unfinished:
        torch.save(dict(arrays), unfinished)
