"""The save_to_disk layout: rows in protocol order whatever the file's, damage refused by name."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from common.errors import DataError
from common.faces.evaluation_sets import write_arrow
from common.faces.pixels import decode_rgb
from evaluate.files.arrow import ArrowFaces

PICTURES = [bytes([number]) * (number + 5) for number in range(25)]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_shards(folder, *shards):
    """Each shard is a table, written as one Arrow stream of batches of four rows."""
    folder.mkdir(exist_ok=True)
    names = [f"part-{number}.arrow" for number in range(len(shards))]
    for name, table in zip(names, shards, strict=True):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


def table(rows, **extra):
    images = pa.array([{"bytes": PICTURES[row], "path": None if row % 2 else f"{row}.jpg"} for row in rows], IMAGE)
    return pa.table({"image": images, "index": pa.array(rows, pa.int64()), **extra})


def test_rows_come_by_index_across_shards_and_batches_with_extra_columns(tmp_path):
    rows = np.random.default_rng(0).permutation(25).tolist()
    extra = [pa.array([f"{row}" for row in part]) for part in (rows[:9], rows[9:])]
    faces = ArrowFaces(write_shards(tmp_path / "set", table(rows[:9], path=extra[0]), table(rows[9:], path=extra[1])))
    assert len(faces) == 25
    assert faces[:] == PICTURES
    assert faces[7] == PICTURES[7]


def test_plain_binary_images_and_small_indices_are_read(tmp_path):
    plain = pa.table({"image": pa.array(PICTURES, pa.large_binary()), "index": pa.array(range(25), pa.int32())})
    assert ArrowFaces(write_shards(tmp_path / "set", plain))[:] == PICTURES


def test_what_is_written_is_read_back(tmp_path):
    write_arrow(tmp_path / "set", PICTURES, len(PICTURES), rows_per_shard=10)
    assert ArrowFaces(tmp_path / "set")[:] == PICTURES
    assert len(list((tmp_path / "set").glob("*.arrow"))) == 3


NULL_ROW = pa.array([None, {"bytes": b"x", "path": None}], IMAGE)
PATH_ONLY = pa.array([{"bytes": None, "path": "a.jpg"}, {"bytes": b"x", "path": None}], IMAGE)
TWO = pa.array([0, 1])
BAD_TABLES = {
    "no index": pa.table({"image": PATH_ONLY}),
    "no image": pa.table({"index": TWO}),
    "null picture": pa.table({"image": NULL_ROW, "index": TWO}),
    "path only": pa.table({"image": PATH_ONLY, "index": TWO}),
    "null index": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([0, None])}),
    "float index": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([0.0, 1.0])}),
    "text image": pa.table({"image": pa.array(["x", "y"]), "index": TWO}),
    "no bytes": pa.table({"image": pa.array([{"path": "a"}, {"path": "b"}]), "index": TWO}),
    "row twice": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([1, 1])}),
    "row missing": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([0, 2])}),
    "negative index": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([0, -1])}),
    "huge index": pa.table({"image": pa.array([b"x", b"y"]), "index": pa.array([0, 2**64 - 1], pa.uint64())}),
}


@pytest.mark.parametrize("bad", BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_table_that_does_not_fit_is_refused_by_name(tmp_path, bad):
    with pytest.raises(DataError, match="set"):
        ArrowFaces(write_shards(tmp_path / "set", bad))


def test_a_truncated_shard_is_refused_by_name(tmp_path):
    folder = write_shards(tmp_path / "set", table(range(25)))
    shard = folder / "part-0.arrow"
    whole = shard.read_bytes()
    for length in (0, 3, len(whole) // 3, len(whole) // 2, len(whole) - 200):
        shard.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"part-0\.arrow|rows are missing"):
            ArrowFaces(folder)
    shard.unlink()
    with pytest.raises(DataError, match=r"part-0\.arrow"):
        ArrowFaces(folder)


@pytest.mark.parametrize(
    "state", ["", "[]", "{}", '{"_data_files": []}', '{"_data_files": [{"filename": "../x"}]}', "[" * 9999]
)
def test_a_state_file_that_lists_no_shards_inside_is_refused(tmp_path, state):
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(DataError, match=r"state\.json"):
        ArrowFaces(tmp_path)


def test_a_folder_that_is_no_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no data set saved with save_to_disk"):
        ArrowFaces(tmp_path / "missing")


@pytest.mark.real
@pytest.mark.parametrize("name", ["ijb/IJBLFW", "tinyface/tinylfw"])
def test_reference_sets_give_the_reference_pixels(real_file, name):
    folder = {"ijb/IJBLFW": "IJBLFW_gt_aligned", "tinyface/tinylfw": "tinylfw_aligned_pad_0.1"}[name]
    faces = ArrowFaces(real_file(f"golden/{name.split('/')[0]}/{folder}"))
    expected = np.load(real_file(f"golden/{name}_sface.npz"))["pixels_sha256"]
    assert len(faces) == len(expected)
    for row, digest in enumerate(expected):
        assert hashlib.sha256(decode_rgb(faces[row], str(row)).tobytes()).hexdigest() == digest
