"""Write a training set in the faces_emore layout that InsightFace's tools and `common.faces` read."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from common.faces.recordio import Record, RecordWriter


def write_recordio_dataset(
    folder: str | os.PathLike[str],
    images_by_identity: Iterable[Sequence[bytes]],
    size: tuple[int, int] = (112, 112),
) -> None:
    """Write train.rec, train.idx and property into `folder`, which is made if need be.

    `images_by_identity` gives, identity by identity, its encoded pictures; identities are numbered from 0. The file
    holds keys 1..N, flag 2, labels [identity, 1]; then key 0, labels [N+1, N+1+K]; then keys N+1..N+K, labels
    [first key, last key + 1]. `property` is `K,height,width`. Raises ValueError when there is no picture at all.

    Source: InsightFace `face2rec2.py`, as a document of the layout.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ranges: list[tuple[int, int]] = []
    key = 1
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for identity, images in enumerate(images_by_identity):
            first = key
            for image in images:
                writer.write(key, Record(2, np.array([identity, 1.0]), key, 0, image))
                key += 1
            ranges.append((first, key))
        if key == 1:
            raise ValueError(f"no pictures to write into {folder}")
        writer.write(0, Record(2, np.array([key, key + len(ranges)]), 0, 0, b""))
        for number, span in enumerate(ranges, start=key):
            writer.write(number, Record(2, np.array(span), number, 0, b""))
    (folder / "property").write_text(f"{len(ranges)},{size[0]},{size[1]}", encoding="ascii")
