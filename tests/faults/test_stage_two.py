"""Experiment files, caches and the remains of runs that are not what stage two wrote or needs."""

from tests.faults.damage import (
    BINARY_DAMAGES,
    JSON_DAMAGES,
    a_device,
    a_folder,
    a_pipe,
    changed_text,
    flipped,
    halved,
    holds,
    removed,
)
from tests.faults.table import Row, assert_refused, quick, rows, table
from tests.faults.test_stage_one import BIG_ENDIAN, CACHE, OTHER_KEYS, file_limit, open_files, unsealed

TRAIN = "distill train --config tiny.toml"
SECOND = f"{TRAIN} --set name=second --set cache.path={CACHE}"
FROZEN = f"{SECOND} --set head.centers=frozen"
CHECK = f"{SECOND} --check"
BUILD = "cache build --config tiny.toml --set name=second"
EVALUATE = "evaluate run --config tiny.toml"
CONFIG = {
    "not UTF-8": holds(b'name = "\xff\xfe"\n'),
    "a null character": holds(b'name = "a\x00b"\n'),
    "nested without end": holds(b"a = " + b"[" * 100_000),
    "a number without end": holds(b"a = " + b"9" * 5000),
    "a list of nothing": holds(b"[[train]]\n"),
    "a folder": a_folder,
    "a pipe": a_pipe,
    "removed": removed,
    "epochs = true": changed_text("epochs = 1", "epochs = true"),
    'epochs = "2"': changed_text("epochs = 1", 'epochs = "2"'),
    "epochs = 0": changed_text("epochs = 1", "epochs = 0"),
}
# A bit of an embedding changes no size; `cache verify` sees it.
UNLIKE = {name: damage for name, damage in BINARY_DAMAGES.items() if name != "a flipped bit"}
CHANGED = {name: damage for name, damage in BINARY_DAMAGES.items() if name not in ("removed", "a flipped bit")}
STUDENT = "student.safetensors"
CHECKPOINT = "runs/tiny/checkpoints/step000000004.pt"


def prepended(line: bytes):
    return lambda path: path.write_bytes(line + path.read_bytes())


def one_checkpoint(damage):
    """A run that was stopped: the student is not exported yet, and its only checkpoint is damaged."""

    def damaged(path):
        removed(next(folder / STUDENT for folder in path.parents if (folder / STUDENT).exists()))
        damage(path)

    return damaged


TABLE = [
    *rows("tiny.toml", CONFIG, [TRAIN, BUILD, EVALUATE]),
    *(
        Row(setting, "tiny.toml", lambda path: None, f"{TRAIN} --set {setting}", setting.split("=")[0].split(".")[-1])
        for setting in ("head.h=nan", "head.s=inf", "train.lr=nan", "views.count=1073741824", "train.epochs=true")
    ),
    *rows(f"{CACHE}/zarr.json", JSON_DAMAGES, [SECOND, CHECK], CACHE),
    *rows(f"{CACHE}/ledger/zarr.json", JSON_DAMAGES, [SECOND], CACHE),
    *(
        row
        for array in ("embedding", "center", "label")
        for row in rows(f"{CACHE}/{array}/zarr.json", JSON_DAMAGES | BIG_ENDIAN | OTHER_KEYS, [SECOND], CACHE)
    ),
    *rows(f"{CACHE}/embedding/c/0/1/0", UNLIKE, [SECOND], CACHE),
    *rows(f"{CACHE}/center/c/0/0", UNLIKE | {"a flipped bit": flipped}, [FROZEN], CACHE),
    *rows(CACHE, {"half built": unsealed, "removed": removed}, [SECOND], CACHE),
    *rows(
        CHECKPOINT,
        {k: one_checkpoint(v) for k, v in CHANGED.items()},
        [TRAIN],
        "runs/tiny",
    ),
    *rows(
        "runs/tiny/config.toml",
        {
            "empty": holds(b""),
            "half of it": halved,
            "not UTF-8": holds(b"\xff"),
            "a folder": a_folder,
            "a pipe": a_pipe,
        },
        [TRAIN],
        "runs/tiny",
    ),
    *rows(
        "runs/tiny/metrics.jsonl",
        {
            "a folder": one_checkpoint(a_folder),
            "a pipe": one_checkpoint(a_pipe),
            "a device": one_checkpoint(a_device),
            "a damaged first line": one_checkpoint(prepended(b"null\n")),
            "a first line without end": one_checkpoint(prepended(b"[" * 100_000 + b"\n")),
        },
        [TRAIN],
    ),
    Row("a file in the way", "runs/second", holds(b"mine"), SECOND, "runs/second"),
    *(
        Row(f"files of {size} bytes at most", ".", lambda path: None, SECOND, "runs/second", file_limit(size))
        for size in (0, 1000, 100_000)
    ),
    Row("16 open files at most", ".", lambda path: None, SECOND, "open files", open_files(16)),
]
QUICK = {("not UTF-8", TRAIN), ("head.h=nan", f"{TRAIN} --set head.h=nan"), ("half built", SECOND)}


@table([quick(row) if (row.situation, row.command) in QUICK else row for row in TABLE])
def test_what_cannot_be_trained_from_is_refused(row, template, undamaged, tmp_path):
    assert_refused(row, template, undamaged, tmp_path / "world")
