"""The metadata of a cache are those Zarr writes, and every other document in their place is refused and mended."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec

from cache.build import build
from cache.format.arrays import write_group
from cache.format.layout import Layout
from cache.format.metadata import array_document, write_metadata
from cache.reader import TeacherCache
from cache.repair import repair
from cache.share.remote import open_remote
from cache.share.share import pull, push
from cache.verify import check_store
from common.errors import CacheError
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, tree


@pytest.fixture
def path(world) -> Path:
    return build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8"])
def test_every_document_is_the_one_that_zarr_writes(tmp_path, dtype):
    layout = Layout(views=3, samples=35, dim=16, classes=7, dtype=dtype, shard_rows=8, chunk_rows=4)
    group = zarr.create_group(tmp_path / "zarrs", attributes={"a": 1})
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
        theirs = json.loads((tmp_path / "zarrs" / array.name / "zarr.json").read_text())
        assert array_document(layout, array) == theirs
    write_group(tmp_path / "ours", {"a": 1})
    write_metadata(tmp_path / "ours", layout)
    for name in ("zarr.json", "label/zarr.json"):
        ours, theirs = (json.loads((tmp_path / who / name).read_text()) for who in ("ours", "zarrs"))
        assert ours == theirs
    assert zarr.open_group(tmp_path / "ours", mode="r")["embedding"].shape == (3, 35, 16)


def replaced(old: str, new: str):
    def edit(file: Path) -> None:
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return edit


EDITS = {
    "big-endian": replaced('"endian": "little"', '"endian": "big"'),
    "other keys": replaced('"name": "default"', '"name": "v2"'),
    "other fill": replaced('"NaN"', '"Infinity"'),
    "attributes": replaced('"attributes": {}', '"attributes": {"units": "m"}'),
    "white space": replaced("\n", "\n\n"),
    "list": lambda file: file.write_text("[]"),
    "endless": lambda file: file.write_text("[" * 100_000),
    "empty": lambda file: file.write_text(""),
    "bytes": lambda file: file.write_bytes(b"\xff\xfe"),
    "deleted": Path.unlink,
    "folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("array", ["center", "embedding"])
def test_any_other_metadata_of_an_array_are_refused_everywhere_and_mended(path, array, edit):
    whole, file = tree(path), path / array / "zarr.json"
    EDITS[edit](file)
    with pytest.raises(CacheError, match=rf"{array}/zarr\.json.*python -m cache repair"):
        TeacherCache(path)
    assert any(str(file) in fault for fault in check_store(path))
    with pytest.raises(CacheError, match=rf"{array}/zarr\.json"):
        push(path, open_remote(f"file://{path.absolute().parent}/shared"), "unknown", "unknown")
    teacher = TinyTeacher()
    repair(experiment(), open_source("data/faces"), teacher, threads=1, quiet=True)
    assert teacher.calls == 0, "nothing that the teacher said was lost"
    assert tree(path) == whole
    assert check_store(path) == []


def test_a_pull_refuses_metadata_that_were_changed_on_the_way(path, world):
    remote = open_remote(f"file://{world}/shared")
    push(path, remote, "unknown", "unknown")
    EDITS["big-endian"](world / "shared/center/zarr.json")
    with pytest.raises(CacheError, match=r"center/zarr\.json"):
        pull(remote, Path("caches/pulled"))


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.update(consolidated_metadata={}),
        lambda root: root["attributes"].update(other=1),
        lambda root: root.update(zarr_format=2),
    ],
)
def test_nothing_in_the_root_is_left_unbound(path, change):
    root = json.loads((path / "zarr.json").read_text())
    change(root)
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(CacheError, match=r"tiny/zarr\.json: damaged at"):
        TeacherCache(path)


BROKEN = {
    "list": b"[]",
    "null": b"null",
    "cut": b'{"attributes": {"teacher_cache": {"format": ',
    "not UTF-8": b'{"attributes": "\xff"}',
    "deep": b"[" * 200_000,
    "deep in place": b'{"attributes": ' + b'{"a":' * 200_000,
    "long number": b'{"attributes": {"files": {"a": {"bytes": ' + b"9" * 100_000 + b"}}}}",
    "empty": b"",
}
DOCUMENTS = ["zarr.json", "ledger/zarr.json"]


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("broken", [*BROKEN, "missing", "folder"])
def test_broken_documents_are_one_line_for_every_reader(path, document, broken):
    file = path / document
    file.unlink()
    if broken == "folder":
        file.mkdir()
    elif broken != "missing":
        file.write_bytes(BROKEN[broken])
    before = tree(path)
    for read in (TeacherCache, check_store, lambda path: repair_here()):
        with pytest.raises(CacheError, match=r"tiny.*: .*(build|copy)") as refusal:
            read(path)
        assert "\n" not in str(refusal.value)
    assert tree(path) == before, "a repair that cannot end well changes nothing"


def repair_here() -> None:
    repair(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def edited(path: Path, place: list, value: object) -> None:
    document = json.loads(path.read_text())
    inner = document
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path.write_text(json.dumps(document))


M = ["attributes", "teacher_cache"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ([*M, "layout", "samples"], "35"),
        ([*M, "layout", "samples"], True),
        ([*M, "layout", "samples"], 36),
        ([*M, "layout", "chunk_rows"], 0),
        ([*M, "layout", "chunk_rows"], 3),
        ([*M, "layout", "chunk_rows"], 10**30),
        ([*M, "layout", "dtype"], "object"),
        ([*M, "layout", "more"], 1),
        ([*M, "teacher"], None),
        ([*M, "views"], []),
        ([*M, "faces", "fingerprint"], 3),
        ([*M, "confidence"], "mean"),
        ([*M, "sealed"], {}),
        ([*M, "sealed"], 7),
        ([*M, "sealed", "ledger"], "nothing"),
        ([*M, "sealed", "skipped"], {"35": "no such sample"}),
        ([*M, "sealed", "skipped"], {"-1": "no number"}),
    ],
)
def test_values_of_other_types_in_a_manifest_are_named(path, place, value):
    edited(path / "zarr.json", place, value)
    with pytest.raises(CacheError, match=rf"tiny/zarr\.json: damaged.*{place[-1] if value != 36 else 'samples'}"):
        TeacherCache(path)


@pytest.mark.parametrize(
    "value", [7, {"bytes": "1", "sha256": "0" * 64}, {"bytes": -1, "sha256": "0" * 64}, {"bytes": 1, "sha256": "0"}]
)
def test_values_of_other_types_in_a_ledger_are_named(world, value):
    with pytest.raises(KeyboardInterrupt):
        build(experiment(), open_source("data/faces"), TinyTeacher(fail_after=7), threads=1, quiet=True)
    unit = Path("caches/tiny/ledger/view0-shard00000.json")
    whole = unit.read_text()
    edited(unit, ["files", "norm/c/0/0"], value)
    with pytest.raises(CacheError, match=r"view0-shard00000\.json: damaged at files\.norm/c/0/0.*: remove it and run"):
        build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    unit.write_text(whole)
    edited(Path("caches/tiny/ledger/zarr.json"), ["attributes", "files", "label/c/0"], value)
    with pytest.raises(CacheError, match=r"ledger/zarr\.json: damaged at attributes\.files\.label/c/0"):
        check_store(Path("caches/tiny"))


def test_labels_outside_the_classes_are_refused(world):
    labels = np.full(35, 7, np.int32)
    source = open_source("data/faces")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cache.format.arrays.write_rows", _writing(labels))
        with pytest.raises(CacheError, match=r"label: 7 is no class of 0\.\.6"):
            build(experiment(), source, TinyTeacher(), threads=1, quiet=True)


def _writing(labels: np.ndarray):
    from cache.format.arrays import write_rows

    return lambda path, layout, name, values: write_rows(path, layout, name, labels if name == "label" else values)
