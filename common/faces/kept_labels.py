"""Identities that only the header of every record tells, kept beside the RecordIO file as `train.labels`.

Reading 42 million headers takes minutes, and every process of a build or a training would. The file is the SHA-256, in
hex, of what it belongs to (the size of the .rec, the digest of the .idx) and of what it holds, a line end, and the
identities as little-endian float32. Where it does not agree it is written anew; where nothing can be, none is kept.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from common.faces.recordio import Records
from common.files import replacing, sha256_of

KEPT_FROM = 1 << 20  # records; fewer are read in seconds


def kept_identities(records: Records, count: int) -> np.ndarray | None:
    """The identities kept for `count` pictures, float32; None where there are none, or they belong to other files."""
    if count < KEPT_FROM or not records.idx_path.exists():
        return None
    try:
        content = _file(records).read_bytes()
    except OSError:
        return None
    head, _, identities = content.partition(b"\n")
    if len(identities) != 4 * count or head.decode(errors="replace") != _digest(records, identities):
        return None
    return np.frombuffer(identities, "<f4").astype(np.float32)


def keep_identities(records: Records, identities: np.ndarray) -> None:
    """Keep identities float32 (N,) for later processes, where the folder can be written and it is worth it."""
    if len(identities) < KEPT_FROM or not records.idx_path.exists():
        return
    content = identities.astype("<f4").tobytes()
    with suppress(OSError), replacing(_file(records)) as temporary:
        temporary.write_bytes(_digest(records, content).encode() + b"\n" + content)


def _file(records: Records) -> Path:
    return records.path.with_suffix(".labels")


def _digest(records: Records, identities: bytes) -> str:
    belongs_to = f"{records.path.stat().st_size} {sha256_of(records.idx_path)} "
    return hashlib.sha256(belongs_to.encode() + identities).hexdigest()
