"""Which records of a RecordIO file are pictures, and of whom.

faces_emore layout: key 0 has no picture and the labels [N+1, N+1+K]; pictures are the keys 1..N; the keys N+1..N+K, one
an identity, have the labels [first key, last key + 1]. These ranges give all identities without touching the pictures.

Without them all headers are read, 42 million in minutes, and every process of a build or a training would. So they are
kept beside the file as `train.labels`: the SHA-256, in hex, of what they belong to (the size of the .rec, the digest of
the .idx) and of what they are, a line end, and the identities as little-endian float32. Where that does not agree it is
written anew; where nothing can be, none is kept.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from common.errors import DataError
from common.faces.recordio import Records
from common.files import replacing, sha256_of

KEPT_FROM = 1 << 20  # records; fewer are read in seconds
PROBES = 1024  # samples looked at, spread evenly, where looking at all would read the whole data set


def pictures_of(records: Records) -> tuple[range | np.ndarray, np.ndarray]:
    """Keys of the pictures, rising, and the identity of each, float32: a whole number from 0 on.

    Where the identities' ranges are absent, do not cover 1..N exactly once, or disagree with the headers of 1,024
    pictures, every header is read, once for all (`train.labels`). Without a header record every key is a
    picture. Raises DataError for a header that announces more or fewer pictures than there are, and for a label that
    is no identity.
    """
    header = _header(records)
    if header is not None:
        announced = _announced_keys(records, header)
        identities = _identities_of_ranges(records, header, _labels_beyond(records, announced))
        if identities is None or not _probes_agree(records, announced, identities):
            identities = _identities_of_headers(records, announced)
        return announced, identities
    keys = np.sort(records.keys.array())
    # a range where it can be: 5.8 million keys are 44 MiB in every process
    consecutive = len(keys) and keys[-1] - keys[0] == len(keys) - 1
    pictures = range(keys[0], keys[-1] + 1) if consecutive else keys
    return pictures, _identities_of_headers(records, pictures)


def spread(count: int) -> list[int]:
    """Up to PROBES of 0..count-1: first, last, and evenly between."""
    probes = min(count, PROBES)
    return [i * (count - 1) // max(1, probes - 1) for i in range(probes)]


def _header(records: Records) -> np.ndarray | None:
    """The labels of the header record, [N+1] or [N+1, N+1+K], or None in a file without one."""
    if 0 not in records:
        return None
    record = records[0]
    return np.atleast_1d(record.label) if record.flag > 0 and not record.payload else None


def _announced_keys(records: Records, header: np.ndarray) -> range:
    """The pictures' keys 1..N. Raises DataError where the file has not all of them."""
    end = float(header[0])
    missing = records.keys.first_missing(1, int(end)) if end.is_integer() else 1
    if missing is not None:
        raise DataError(
            f"{records.path}: its header (key 0) announces pictures 1..{end - 1:.0f}, but key {missing} is absent; "
            f"copy it and {records.idx_path.name} again"
        )
    return range(1, int(end))


def _labels_beyond(records: Records, pictures: range) -> dict[int, np.ndarray]:
    """Labels of the records behind the announced pictures. Raises DataError where one of them is a picture, too."""
    found: dict[int, np.ndarray] = {}
    for key in records.keys.beyond(pictures.stop):
        record = records[key]
        if record.payload:
            raise DataError(
                f"{records.path}: its header (key 0) announces pictures 1..{pictures.stop - 1}, but key {key} has a "
                f"picture, too; copy it and {records.idx_path.name} again"
            )
        found[key] = np.atleast_1d(record.label)
    return found


def _identity(records: Records, key: int) -> float:
    return float(np.atleast_1d(records[key].label)[0])


def _identities_of_headers(records: Records, keys: range | np.ndarray) -> np.ndarray:
    """Identity of each key, float32, read from its own record. Raises DataError for what is no whole number >= 0."""
    kept = _kept_identities(records, len(keys))
    if kept is not None and _probes_agree(records, keys, kept):
        return kept
    identities = np.array([_identity(records, int(key)) for key in keys], np.float32)
    wrong = np.flatnonzero(~(np.isfinite(identities) & (identities >= 0) & (identities == np.floor(identities))))
    if len(wrong):
        raise DataError(
            f"{records.path}: record {keys[wrong[0]]} has the label {identities[wrong[0]]}; "
            "an identity is a whole number from 0 on"
        )
    _keep_identities(records, identities)
    return identities


def _identities_of_ranges(records: Records, header: np.ndarray, beyond: dict[int, np.ndarray]) -> np.ndarray | None:
    """Identity of pictures 1..N from the identity records, or None where they do not give exactly one to each."""
    if len(header) < 2 or not (0 < header[0] < header[1] < np.inf):
        return None
    first, last = int(header[0]), int(header[1])
    if records.keys.first_missing(first, last) is not None:
        return None
    labels = [beyond[key][:2] for key in range(first, last)]
    if any(len(span) != 2 for span in labels):
        return None
    spans = np.array(labels, np.float64)
    order = np.lexsort((spans[:, 1], spans[:, 0]))  # by start; an empty range before the one that starts there too
    start, stop = spans[order].T
    if start[0] != 1 or stop[-1] != first or not (start <= stop).all() or not (start[1:] == stop[:-1]).all():
        return None
    return np.repeat(order, (stop - start).astype(np.int64)).astype(np.float32)


def _probes_agree(records: Records, keys: range | np.ndarray, identities: np.ndarray) -> bool:
    return all(_identity(records, int(keys[i])) == identities[i] for i in spread(len(keys)))


def _kept_identities(records: Records, count: int) -> np.ndarray | None:
    """The identities kept for `count` pictures, float32; None where there are none, or they belong to other files."""
    if count < KEPT_FROM or not records.idx_path.exists():
        return None
    try:
        content = _labels_file(records).read_bytes()
    except OSError:
        return None
    head, _, identities = content.partition(b"\n")
    if len(identities) != 4 * count or head.decode(errors="replace") != _digest(records, identities):
        return None
    return np.frombuffer(identities, "<f4").astype(np.float32)


def _keep_identities(records: Records, identities: np.ndarray) -> None:
    """Keep identities float32 (N,) for later processes, where the folder can be written and it is worth it."""
    if len(identities) < KEPT_FROM or not records.idx_path.exists():
        return
    content = identities.astype("<f4").tobytes()
    with suppress(OSError), replacing(_labels_file(records)) as temporary:
        temporary.write_bytes(_digest(records, content).encode() + b"\n" + content)


def _labels_file(records: Records) -> Path:
    return records.path.with_suffix(".labels")


def _digest(records: Records, identities: bytes) -> str:
    belongs_to = f"{records.path.stat().st_size} {sha256_of(records.idx_path)} "
    return hashlib.sha256(belongs_to.encode() + identities).hexdigest()
