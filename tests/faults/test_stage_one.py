"""A cache that is damaged, incomplete, in the way, or larger than the disk, met by every command of stage one."""

import json
import resource
from pathlib import Path

from tests.faults.damage import (
    BINARY_DAMAGES,
    JSON_DAMAGES,
    a_file,
    a_loop,
    changed_text,
    flipped,
    halved,
    holds,
    removed,
)
from tests.faults.table import Row, assert_refused, quick, rows, table

CACHE = "caches/tiny"
VERIFY = "cache verify --config tiny.toml"
INFO = "cache info --config tiny.toml"
AUDIT = "cache audit --config tiny.toml --out audit"
SUBSET = "cache subset --config tiny.toml --first 2 --out caches/two"
PUSH = "cache push --config tiny.toml --faces-licence none --teacher-licence none file:///dev/shm/never-pushed"
PULL = "cache pull file://shared --out caches/pulled"
BUILD = "cache build --config tiny.toml"
REPAIR = "cache repair --config tiny.toml"
APPEND = "cache append --config tiny.toml"
SEND = "cache push --config tiny.toml --faces-licence none --teacher-licence none file://shared"
NEW = "cache build --config tiny.toml --set name=second"
READERS = [VERIFY, AUDIT, SUBSET, PUSH]
IN_CACHE = r"caches/tiny"


def unsealed(cache: Path) -> None:
    """Half a cache: one shard, and the seal, are gone."""
    removed(cache / "embedding/c/1/4/0")
    manifest = json.loads((cache / "zarr.json").read_text())
    next(iter(manifest["attributes"].values()))["sealed"] = None
    (cache / "zarr.json").write_text(json.dumps(manifest))


def file_limit(size: int):
    """Files grow to `size` bytes and no further, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def open_files(count: int):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


BIG_ENDIAN = {"big-endian numbers": changed_text('"little"', '"big"')}
OTHER_KEYS = {"chunks under other names": changed_text('"separator": "/"', '"separator": "."')}
SHARDS = ["embedding/c/0/1/0", "label/c/0", "center/c/0/0", "count/c/0", "confidence/c/0/0"]
# Nothing of a teacher's answers is needed for a list of labels, so only these commands read every array.
TABLE = [
    *rows(f"{CACHE}/zarr.json", JSON_DAMAGES, [INFO, *READERS], IN_CACHE),
    *rows(f"{CACHE}/ledger/zarr.json", JSON_DAMAGES, READERS, IN_CACHE),
    *(
        row
        for array in ("embedding", "center", "label")
        for row in rows(f"{CACHE}/{array}/zarr.json", JSON_DAMAGES | BIG_ENDIAN | OTHER_KEYS, [VERIFY, PUSH], IN_CACHE)
    ),
    *(row for shard in SHARDS for row in rows(f"{CACHE}/{shard}", BINARY_DAMAGES, [VERIFY, PUSH], IN_CACHE)),
    *rows(
        f"{CACHE}/label/c/0",
        {"removed": removed, "a flipped bit": flipped, "half of it": halved},
        [AUDIT, SUBSET],
        IN_CACHE,
    ),
    *rows(CACHE, {"half built": unsealed}, READERS, IN_CACHE),
    *rows(f"{CACHE}/zarr.json", {"null": holds(b"null"), "empty": holds(b"")}, [BUILD, REPAIR], IN_CACHE),
    *rows(f"{CACHE}/zarr.json", JSON_DAMAGES, [APPEND], IN_CACHE),
    *rows(f"{CACHE}/ledger/zarr.json", JSON_DAMAGES, [APPEND], IN_CACHE),
    *rows("data/faces/train.rec", {"removed": removed, "half of it": halved}, [APPEND], r"train\.rec|data/faces"),
    *rows("shared", {"a file": a_file, "a loop": a_loop}, [SEND]),
    *rows(
        "shared/zarr.json",
        {
            k: v
            for k, v in JSON_DAMAGES.items()
            if k in ("a list", "null", "an empty object", "a folder", "a pipe", "a device")
        },
        [SEND],
        "shared",
    ),
    *(
        Row(f"files of {size} bytes at most", "shared", removed, SEND, "shared", file_limit(size))
        for size in (0, 200, 2000)
    ),
    *rows("shared/zarr.json", JSON_DAMAGES, [PULL], r"zarr\.json|shared"),
    *rows("shared/ledger/zarr.json", JSON_DAMAGES, [PULL], r"zarr\.json|shared"),
    *rows("shared/embedding/c/0/1/0", BINARY_DAMAGES, [PULL], r"embedding/c/0/1/0|shared"),
    *rows("data/tiny.onnx", BINARY_DAMAGES | {"a flipped bit": holds(b"\x08\x08\x12")}, [NEW], r"tiny\.onnx"),
    Row("a file in the way", "caches/second", holds(b"mine"), NEW, r"caches/second"),
    Row("a file in the way", "audit", holds(b"mine"), AUDIT, r"audit"),
    Row("a file in the way", "caches/two", holds(b"mine"), SUBSET, r"caches/two"),
    Row("a file in the way", "caches/pulled", holds(b"mine"), PULL, r"caches/pulled"),
    *(
        Row(f"files of {size} bytes at most", ".", lambda path: None, command, sees, file_limit(size))
        for size in (0, 200, 2000)
        for command, sees in ((NEW, r"caches/\.?second"), (AUDIT, "audit"), (SUBSET, "caches/"), (PULL, "caches/"))
    ),
    *(
        Row("16 open files at most", ".", lambda path: None, command, r"open files", open_files(16))
        for command in (NEW, VERIFY, AUDIT)
    ),
    *rows("data/faces/train.rec", {"removed": removed}, [REPAIR, AUDIT, SUBSET], r"data/faces"),
]
QUICK = {("null", VERIFY), ("a pipe", INFO), ("half built", AUDIT), ("files of 200 bytes at most", NEW)}


@table(
    [
        quick(row) if (row.situation, row.command) in QUICK and row.path in (CACHE, f"{CACHE}/zarr.json", ".") else row
        for row in TABLE
    ]
)
def test_a_cache_that_is_no_cache_is_refused(row, template, undamaged, tmp_path):
    assert_refused(row, template, undamaged, tmp_path / "world")
