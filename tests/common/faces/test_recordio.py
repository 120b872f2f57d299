"""RecordIO against files of mxnet, a naive parser, and every damage we know of."""

import hashlib
import json
import multiprocessing
import os
import pickle
import random
import resource
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DataError
from common.faces.pixels import decode_rgb
from common.faces.record_chunks import READ_AHEAD
from common.faces.recordio import MAGIC, Record, Records, RecordWriter
from common.faces.recordio_index import BLOCK, read_index

pieces = st.sampled_from([MAGIC, MAGIC[:3], MAGIC[1:], bytes(4), b"a", b"abcd"]) | st.binary(max_size=20)
raws = st.lists(pieces, max_size=12).map(b"".join)
float32 = st.floats(width=32, allow_nan=False)
records = st.builds(
    lambda label, ids, payload: Record(np.size(label) * np.ndim(label), label, *ids, payload),
    float32 | st.lists(float32, min_size=1, max_size=5).map(lambda labels: np.array(labels, np.float32)),
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    raws,
)


def naive_records(rec: bytes) -> list[bytes]:
    """All records of a file, in file order, the slow and obvious way."""
    found, at = [], 0
    while at < len(rec):
        magic, word = struct.unpack("<II", rec[at : at + 8])
        assert magic == 0xCED7230A
        cflag, length = word // 2**29, word % 2**29
        data = rec[at + 8 : at + 8 + length]
        if cflag in (0, 1):
            found.append(data)
        else:
            found[-1] += struct.pack("<I", magic) + data
        at += 8 + (length + 3) // 4 * 4
    return found


def naive_index(idx: str) -> dict[int, int]:
    return {int(key): int(offset) for key, offset in (line.split("\t") for line in idx.splitlines())}


def write_raws(folder: Path, raws: dict[int, bytes]) -> Path:
    with RecordWriter(folder / "a.rec", folder / "a.idx") as writer:
        for key, raw in raws.items():
            writer.write_raw(key, raw)
    return folder / "a.rec"


@pytest.fixture
def small(tmp_path) -> Path:
    """Ten records with shuffled keys, the magic in some."""
    return write_raws(tmp_path, {(7 * i) % 10: b"%d|" % i * i + MAGIC * (i % 3) for i in range(10)})


# What mxnet wrote


def assert_as_expected(folder: Path, rec: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    assert hashlib.sha256(rec.read_bytes()).hexdigest() == expected["rec_sha256"]
    found = Records(rec)
    assert found.keys == expected.get("idx_key_order", [item["key"] for item in expected["records"]])
    for item in expected["records"]:
        raw = found.raw(item["key"])
        assert found.keys.offset(item["key"]) == item["offset"]
        assert hashlib.sha256(raw).hexdigest() == item.get("record_sha256", item.get("sha256"))
        if "payload_sha256" not in item:
            continue
        record = found[item["key"]]
        assert (record.flag, record.id, record.id2) == (item["flag"], item["id"], item["id2"])
        assert np.atleast_1d(record.label).tolist() == item["label"]
        assert (np.ndim(record.label) == 1) == item["label_is_vector"]
        assert hashlib.sha256(record.payload).hexdigest() == item["payload_sha256"]
        if "rgb_sha256" in item:
            rgb = decode_rgb(record.payload, "golden")
            assert list(rgb.shape) == item["rgb_shape"]
            assert hashlib.sha256(rgb.tobytes()).hexdigest() == item["rgb_sha256"]


def assert_rewritten_identically(rec: Path, folder: Path) -> None:
    found = Records(rec)
    with RecordWriter(folder / "again.rec", folder / "again.idx") as writer:
        for key in found.keys:
            writer.write_raw(key, found.raw(key))
    assert (folder / "again.rec").read_bytes() == rec.read_bytes()
    assert (folder / "again.idx").read_bytes() == rec.with_suffix(".idx").read_bytes()


def assert_scan_finds_the_index(rec: Path, folder: Path) -> None:
    (folder / "alone.rec").write_bytes(rec.read_bytes())
    scanned, indexed = Records(folder / "alone.rec"), Records(rec)
    assert scanned.keys == indexed.keys
    assert np.array_equal(scanned.keys.offsets, indexed.keys.offsets)


def test_magic_in_every_position_reads_and_writes_as_in_mxnet(golden, tmp_path):
    rec = golden / "recordio" / "raw_magic" / "raw.rec"
    assert_as_expected(rec.parent, rec)
    assert_rewritten_identically(rec, tmp_path)
    assert_scan_finds_the_index(rec, tmp_path)
    for item in json.loads((rec.parent / "expected.json").read_text())["records"]:
        if item["hex"] is not None:
            assert Records(rec).raw(item["key"]).hex() == item["hex"]


def test_made_up_faces_read_write_and_decode_as_in_mxnet(golden, tmp_path):
    rec = golden / "recordio" / "made_up_faces" / "train.rec"
    assert_as_expected(rec.parent, rec)
    assert_rewritten_identically(rec, tmp_path)
    assert_scan_finds_the_index(rec, tmp_path)


@pytest.mark.real
@pytest.mark.parametrize("name", ["ms1mv2_like", "no_header"])
def test_real_faces_read_write_and_decode_as_in_mxnet(real_file, tmp_path, name):
    rec = real_file(f"golden/recordio/{name}/train.rec")
    assert_as_expected(rec.parent, rec)
    assert_rewritten_identically(rec, tmp_path)
    assert_scan_finds_the_index(rec, tmp_path)


# Round trips


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.integers(0, 10**17), raws, max_size=20))
def test_bare_records_survive_and_a_naive_parser_agrees(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("raws")
    rec = write_raws(folder, made)
    assert naive_records(rec.read_bytes()) == list(made.values())
    assert list(naive_index(rec.with_suffix(".idx").read_text())) == list(made)
    found = Records(rec)
    assert found.keys == list(made)
    assert {key: found.raw(key) for key in found} == made


@settings(deadline=None, max_examples=40)
@given(st.lists(records, min_size=1, max_size=10))
def test_image_records_survive(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("images")
    with RecordWriter(folder / "a.rec", folder / "a.idx") as writer:
        for key, record in enumerate(made):
            writer.write(key, record)
    found = Records(folder / "a.rec")
    for key, record in enumerate(made):
        assert found[key] == record
        assert found[key].flag == record.flag
        assert found[key].payload == record.payload


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_every_index_is_read_as_line_by_line(tmp_path_factory, data):
    runs = data.draw(st.lists(st.tuples(st.integers(0, 10**16), st.integers(1, 150)), max_size=6))
    keys = list(dict.fromkeys(key for first, length in runs for key in range(first, first + length)))
    shift = data.draw(st.integers(0, 10**16))
    text = "".join(f"{key}\t{4 * (shift + place)}\n" for place, key in enumerate(keys))
    if data.draw(st.booleans()):
        text = text.removesuffix("\n")
    path = tmp_path_factory.mktemp("index") / "a.idx"
    path.write_text(text)
    index = read_index(path)
    naive = naive_index(text)
    assert list(index) == list(index.array()) == index[:] == keys
    assert index.offsets.tolist() == list(naive.values())
    assert all(index.offset(key) == offset for key, offset in naive.items())
    for start in [*keys[:3], 0]:
        missing = next((key for key in range(start, start + 50) if key not in naive), None)
        assert index.first_missing(start, start + 50) == missing
    assert [key in index for key in range(-1, 20)] == [key in naive for key in range(-1, 20)]


@pytest.mark.parametrize("order", ["written", "shuffled"])
def test_an_index_of_many_blocks_is_read_as_line_by_line(tmp_path, order):
    keys = [*range(1, 40_000), 0, *range(40_000, 45_000)]
    if order == "shuffled":
        random.Random(0).shuffle(keys)
    offsets = (4 * np.random.default_rng(0).integers(1, 2000, len(keys)).cumsum()).tolist()
    text = "".join(f"{key}\t{offset}\n" for key, offset in zip(keys, offsets, strict=True))
    assert len(text) > 4 * BLOCK
    (tmp_path / "a.idx").write_text(text)
    index = read_index(tmp_path / "a.idx")
    assert index == keys
    assert index.offsets.tolist() == offsets


def test_index_lines_of_windows_are_read(tmp_path):
    (tmp_path / "a.idx").write_bytes(b"0\t0\r\n10\t48\r\n")
    assert read_index(tmp_path / "a.idx").offsets.tolist() == [0, 48]


def test_lines_of_one_width_whose_tabs_stand_in_other_columns_are_read(tmp_path):
    (tmp_path / "a.idx").write_bytes(b"10\t200\n101\t20\n")
    assert read_index(tmp_path / "a.idx").offsets.tolist() == [200, 20]


@pytest.mark.parametrize("line", [b"11\t2x4", b"1x\t204", b"11 2x4", b"11\t2\t4"])
def test_a_foreign_character_in_lines_of_one_width_is_named(tmp_path, line):
    (tmp_path / "a.idx").write_bytes(b"10\t200\n" + line + b"\n")
    with pytest.raises(DataError, match=r"line 2 is .*, not `key<TAB>offset`"):
        read_index(tmp_path / "a.idx")


def test_a_scan_numbers_by_id_only_where_ids_are_a_permutation(tmp_path):
    for name, ids, keys in (
        ("ids", [2, 0, 1], [2, 0, 1]),
        ("gap", [3, 0, 1], [0, 1, 2]),
        ("twice", [0, 1, 1], [0, 1, 2]),
    ):
        with RecordWriter(tmp_path / f"{name}.rec", tmp_path / "other.idx") as writer:
            for key, identifier in enumerate(ids):
                writer.write(key, Record(0, 1.0, identifier, 0, MAGIC))
        assert Records(tmp_path / f"{name}.rec").keys == keys


def test_a_written_index_replaces_the_scan(small):
    small.with_suffix(".idx").unlink()
    scanned = Records(small)
    scanned.write_index()
    assert Records(small).keys == scanned.keys == list(naive_index(small.with_suffix(".idx").read_text()))
    assert [path.name for path in small.parent.iterdir()].count("a.idx.partial") == 0


def test_no_records_at_all(tmp_path):
    rec = write_raws(tmp_path, {})
    assert len(Records(rec)) == 0
    rec.with_suffix(".idx").unlink()
    assert Records(rec).keys == []


# Processes and threads


def digest_of(found: Records) -> str:
    return hashlib.sha256(b"".join(found.raw(key) for key in sorted(found))).hexdigest()


def test_a_pickle_holds_paths_only_and_leaves_the_original_usable(small):
    found = Records(small)
    pickled = pickle.dumps(found)
    assert len(pickled) < 400 + 2 * len(os.fspath(small))
    assert digest_of(pickle.loads(pickled)) == digest_of(found)  # noqa: S301 (our own bytes)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(small, method):
    found = Records(small)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(digest_of, [found] * 4) == [digest_of(found)] * 4


def test_a_forked_child_reads_through_the_inherited_object(small):
    found = Records(small)
    results = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(target=lambda: results.put(digest_of(found)))
    child.start()
    assert results.get() == digest_of(found)
    child.join()


def test_threads_share_one_object(golden):
    found = Records(golden / "recordio" / "raw_magic" / "raw.rec")
    expected = {key: found.raw(key) for key in found}
    keys = random.Random(0).choices([key for key in found if len(expected[key]) < 10_000], k=4000)
    with ThreadPoolExecutor(8) as threads:
        assert all(raw == expected[key] for key, raw in zip(keys, threads.map(found.raw, keys), strict=True))


def test_no_file_stays_open(small):
    before = len(os.listdir("/proc/self/fd"))
    found = [Records(small) for _ in range(5)]
    # the memory map keeps its own duplicate of the descriptor, nothing else does
    assert len(os.listdir("/proc/self/fd")) - before <= len(found)
    del found
    assert len(os.listdir("/proc/self/fd")) == before


# Bad input


def test_a_missing_rec_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.rec: cannot be opened \(No such file"):
        Records(tmp_path / "absent.rec")


def test_a_missing_key_is_named(small):
    for key in (10, -1, 10**30):
        with pytest.raises(DataError, match=rf"a\.rec: no record has key {key} \(10 keys"):
            Records(small).raw(key)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_truncated_rec_is_refused_wherever_it_is_cut(small, indexed):
    whole = small.read_bytes()
    starts = set(naive_index(small.with_suffix(".idx").read_text()).values()) | {len(whole)}
    if not indexed:
        small.with_suffix(".idx").unlink()
    for size in range(1, len(whole)):
        if size in starts and not indexed:
            continue  # a whole, shorter file
        small.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"a\.rec: .* at offset \d+.*(ends at byte|no record starts).*copy"):
            Records(small)


def test_an_index_that_points_outside_is_refused(small):
    idx = small.with_suffix(".idx")
    idx.write_text(idx.read_text() + "10\t4000\n")
    with pytest.raises(DataError, match=r"key 10 at offset 4000 of .*a\.idx: the file ends at byte \d+"):
        Records(small)


def test_an_index_that_points_between_records_is_refused_at_the_record(small):
    idx = small.with_suffix(".idx")
    lines = idx.read_text().splitlines()
    key, offset = lines[4].split("\t")
    lines[4] = f"{key}\t{int(offset) + 4}"
    idx.write_text("\n".join(lines))
    found = Records(small)
    with pytest.raises(
        DataError, match=rf"a\.rec: record {key} at offset {int(offset) + 4}: no record starts .*copy both"
    ):
        found.raw(int(key))


def test_an_index_that_points_into_a_record_is_refused(tmp_path):
    rec = write_raws(tmp_path, {0: MAGIC + b"tail", 1: b"last"})
    idx = rec.with_suffix(".idx")
    idx.write_text(idx.read_text() + "2\t8\n")
    with pytest.raises(DataError, match="record 2 at offset 8: the chunk at byte 8 has cflag 3"):
        Records(rec).raw(2)


def test_an_index_that_ends_before_the_file_is_refused(small):
    idx = small.with_suffix(".idx")
    text = idx.read_text()
    for kept in range(1, len(text) - 3):
        idx.write_text(text[:kept])
        with pytest.raises(DataError, match=r"a\.(idx|rec).*(cut off|not `key<TAB>offset`|copy)"):
            Records(small)


@pytest.mark.parametrize(
    "line", ["x\t0", "1", "1\t", "1 2", "-1\t0", "1\t-4", "1\t0.0", "", "1\t2\t3", "1\t" + "9" * 19]
)
def test_a_malformed_index_line_is_named(small, line):
    idx = small.with_suffix(".idx")
    lines = idx.read_text().splitlines()
    idx.write_text("\n".join([*lines[:6], line, *lines[6:], ""]))
    with pytest.raises(DataError, match=r"a\.idx: line 7 is .*, not `key<TAB>offset`; remove"):
        Records(small)


def test_a_binary_index_is_refused(small):
    small.with_suffix(".idx").write_bytes(bytes(3 * BLOCK))
    with pytest.raises(DataError, match=r"a\.idx: line 1 is "):
        Records(small)


def test_an_empty_index_of_a_full_file_is_refused(small):
    small.with_suffix(".idx").write_text("")
    with pytest.raises(DataError, match="is empty"):
        Records(small)


def test_a_key_that_stands_twice_is_refused(small):
    idx = small.with_suffix(".idx")
    idx.write_text(idx.read_text() + "3\t0\n")
    with pytest.raises(DataError, match="key 3 stands there twice"):
        Records(small)


@pytest.mark.parametrize(
    "raw", [b"", b"short", struct.pack("<IfQQ", 9, 0, 0, 0), struct.pack("<IfQQ", 2**32 - 1, 0, 0, 0)]
)
def test_a_record_without_a_whole_image_header_is_refused(tmp_path, raw):
    rec = write_raws(tmp_path, {5: raw})
    assert Records(rec).raw(5) == raw
    with pytest.raises(DataError, match=r"a\.rec: record 5 is no image record: "):
        Records(rec)[5]


def test_the_writer_leaves_nothing_half_written(tmp_path):
    def interrupted() -> None:
        with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
            writer.write_raw(0, b"first")
            assert not (tmp_path / "a.rec").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_the_writer_refuses_a_negative_key(tmp_path):
    with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer, pytest.raises(ValueError, match="-1"):
        writer.write_raw(-1, b"")


# Files that change, and what is no file


def test_a_file_that_shrinks_while_it_is_read_is_named_and_ends_nothing(tmp_path):
    rec = write_raws(tmp_path, dict.fromkeys(range(10), b"x" * 100000))
    found = Records(rec)
    os.truncate(rec, 350_000)
    assert found.raw(2) == b"x" * 100_000
    for key in (3, 9):  # cut through, and gone
        with pytest.raises(DataError, match=r"a\.rec: .*shrunk from 1000080 to 350000 bytes.*copy it again") as told:
            found.raw(key)
        assert isinstance(told.value.__cause__, OSError)  # not a bad picture that a build may leave out


@pytest.mark.parametrize("suffix", [".rec", ".idx"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(small, suffix, kind):
    path = small.with_suffix(suffix)
    path.unlink()
    {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}[kind](path)
    with pytest.raises(DataError, match=rf"a\{suffix}: not a regular file"):
        Records(small)


def test_too_many_open_files_are_told_with_the_limit_to_raise(small):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(DataError, match=r"a\.rec: cannot be opened \(Too many open files\); raise the limit"):
            Records(small)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_closed_source_gives_its_file_back(small):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        assert Records(small).raw(7)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("order", [lambda lines: lines, sorted, lambda lines: lines[::-1]])
@pytest.mark.parametrize(("other", "keys"), [(4, "4 and 8|8 and 4"), (3, "4 and 1|1 and 4")])  # keys are 7 i mod 10
def test_two_keys_with_one_offset_are_refused(small, order, other, keys):
    lines = small.with_suffix(".idx").read_text().splitlines()
    lines[other] = f"{lines[other].split()[0]}\t{lines[2].split()[1]}"
    small.with_suffix(".idx").write_text("\n".join(order(lines)) + "\n")
    with pytest.raises(DataError, match=rf"a\.idx: keys ({keys}) have one offset, \d+; copy it again"):
        Records(small)


def test_keys_beyond_a_key_are_those_a_plain_search_finds(tmp_path):
    keys = [5, 6, 7, 0, 20, 21, 3, 9, 11]
    found = Records(write_raws(tmp_path, dict.fromkeys(keys, b"."))).keys
    for stop in range(24):
        assert list(found.beyond(stop)) == sorted(key for key in keys if key >= stop)


@pytest.mark.parametrize("size", [0, 1, 3, 5000, READ_AHEAD - 32, READ_AHEAD - 31, 3 * READ_AHEAD])
@pytest.mark.parametrize("label", [7.0, np.arange(2, dtype=np.float32), np.zeros(5000, np.float32)])
def test_a_payload_alone_is_that_of_the_record(tmp_path, size, label):
    """Within what is read at once and beyond it, one label or many, and cut where the magic stands in it."""
    noise = np.random.default_rng(size).bytes(size)
    payloads = [noise, noise[: size // 4 * 4] + MAGIC + noise, b""]
    with RecordWriter(tmp_path / "a.rec", tmp_path / "a.idx") as writer:
        for key, payload in enumerate(payloads):
            writer.write(key, Record(0, label, key, 0, payload))
    records = Records(tmp_path / "a.rec")
    assert [records.payload(key) for key in range(3)] == [records[key].payload for key in range(3)] == payloads
