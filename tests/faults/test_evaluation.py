"""Students, sets, stored embeddings and reports that are damaged or no files, met by the commands of evaluation."""

from pathlib import Path

from common.faces.evaluation_sets import write_bin
from tests.faults.damage import BINARY_DAMAGES, JSON_DAMAGES, flipped, holds
from tests.faults.table import Row, assert_refused, quick, rows, table
from tests.faults.test_faces import GLUED, JPEG, ZEROED
from tests.faults.test_stage_one import file_limit, open_files

RUN = "evaluate run --config tiny.toml"
STUDENT, SET, STORED = "runs/tiny/student.safetensors", "data/pairs.bin", "stored/tiny/pairs.npz"
ON = f"--on pairs={SET}"
MEASURE = f"evaluate measure --model {STUDENT} {ON} --out report"
EMBED = f"evaluate embed --model {STUDENT} {ON} --out embeddings"
FROM_STORED = f"evaluate measure --model stored/tiny {ON} --out report"
BATCH = f"evaluate batch runs {ON} --out batch"
SEARCH = f"evaluate search --gallery {STORED} --probes {STORED}"
COMPARE = "evaluate compare runs/tiny/evaluation"
IJB = f"evaluate measure --model {STUDENT} --on ijb=ijb --out report"
CHANGED = {name: damage for name, damage in BINARY_DAMAGES.items() if name != "a flipped bit"}


def protocol(content: bytes):
    """A folder of templates whose metadata are these bytes."""

    def damage(folder: Path) -> None:
        folder.mkdir()
        (folder / "metadata.pt").write_bytes(content)

    return damage


def picture_of_a_pair(content: bytes):
    """A verification set one of whose pictures are these bytes."""

    def damage(path: Path) -> None:
        pictures = [JPEG] * 19 + [content]
        write_bin(path, pictures, [True] * 5 + [False] * 5)

    return damage


TABLE = [
    *rows(
        SET,
        {"a glued JPEG": picture_of_a_pair(GLUED), "a zeroed JPEG": picture_of_a_pair(ZEROED)},
        [RUN, MEASURE, EMBED],
    ),
    *rows(STUDENT, CHANGED, [RUN, MEASURE, EMBED, BATCH], r"student\.safetensors|runs/tiny|runs"),
    *rows(SET, {k: v for k, v in CHANGED.items() if k != "removed"}, [RUN, MEASURE, EMBED, FROM_STORED]),
    *rows(STORED, CHANGED | {"a flipped bit": flipped}, [SEARCH]),
    *rows(STORED, {k: v for k, v in CHANGED.items() if k != "removed"}, [FROM_STORED]),
    *rows(
        "runs/tiny/evaluation/results.json",
        JSON_DAMAGES
        | {
            "models of the wrong type": holds(b'{"results": [1]}'),
            "numbers of the wrong type": holds(b'{"results": {"a": {"b": {"accuracy": [1]}}}}'),
        },
        [COMPARE],
    ),
    *rows("ijb", {"no pickle": protocol(b"garbage"), "empty": protocol(b"")}, [IJB], "ijb"),
    Row("a file in the way", "report", holds(b"mine"), MEASURE, "report"),
    Row("a file in the way", "embeddings", holds(b"mine"), EMBED, "embeddings"),
    Row("a file in the way", "batch", holds(b"mine"), BATCH, "batch"),
    *(
        Row(f"files of {size} bytes at most", ".", lambda path: None, command, sees, file_limit(size))
        for size in (0, 500)
        for command, sees in ((MEASURE, "report"), (EMBED, "embeddings"), (BATCH, "batch"))
    ),
    Row("8 open files at most", ".", lambda path: None, MEASURE, "open files", open_files(8)),
]
QUICK = {("half of it", MEASURE), ("a pipe", SEARCH), ("null", COMPARE)}


@table([quick(row) if (row.situation, row.command) in QUICK else row for row in TABLE])
def test_what_cannot_be_measured_is_refused(row, template, undamaged, tmp_path):
    assert_refused(row, template, undamaged, tmp_path / "world")
