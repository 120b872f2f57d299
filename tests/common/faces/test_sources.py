"""Face sources: labels and order against the headers themselves, folders, fingerprints, and bad data."""

import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.errors import DataError
from common.faces.pixels import encode_jpeg
from common.faces.recordio import Record, Records, RecordWriter
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import FaceSource, open_source
from common.faces.subset import SubsetSource
from tests.cold_files import drop, resident, within

COUNTS = [3, 1, 0, 4, 2]  # pictures of each identity; the third has none


def picture(identity: int, number: int) -> np.ndarray:
    rgb = np.full((24, 20, 3), 40 * identity, np.uint8)
    rgb[:, : 4 * number + 2, 1] = 250
    return rgb


@pytest.fixture
def faces() -> list[list[bytes]]:
    return [[encode_jpeg(picture(c, n)) for n in range(count)] for c, count in enumerate(COUNTS)]


@pytest.fixture
def emore(tmp_path, faces) -> Path:
    """A faces_emore folder."""
    write_recordio_dataset(tmp_path / "emore", faces, size=(24, 20))
    return tmp_path / "emore"


@pytest.fixture
def identity_folders(tmp_path, faces) -> Path:
    root = tmp_path / "folders"
    for identity, images in enumerate(faces):
        (root / f"person_{identity}").mkdir(parents=True)
        for number, image in enumerate(images):
            (root / f"person_{identity}" / f"{number:04}.jpg").write_bytes(image)
    return root


def write_records(folder: Path, records: dict[int, Record]) -> Path:
    folder.mkdir(exist_ok=True)
    with RecordWriter(folder / "train.rec", folder / "train.idx") as writer:
        for key, record in records.items():
            writer.write(key, record)
    return folder


def changed(folder: Path, to: Path, change: dict[int, Record | None]) -> Path:
    """A copy of a data set with some records replaced (None: left out)."""
    found = Records(folder / "train.rec")
    records = {key: change.get(key, found[key]) for key in found}
    return write_records(to, {key: record for key, record in records.items() if record is not None})


def vector(*labels: float) -> np.ndarray:
    return np.array(labels, np.float32)


def labels_of_headers(folder: Path, keys) -> list[int]:
    """Contiguous labels, the slow and obvious way."""
    found = Records(folder / "train.rec")
    raw = [int(np.atleast_1d(found[key].label)[0]) for key in keys]
    return [sorted(set(raw)).index(identity) for identity in raw]


# RecordIO


def test_faces_emore_gives_pictures_in_key_order_with_contiguous_labels(emore, faces):
    source = open_source(emore)
    assert (source.kind, source.path, len(source), source.num_classes) == ("recordio", emore, 10, 4)
    assert source.labels.dtype == np.int32
    assert source.labels.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3, 3] == [source.label(i) for i in range(10)]
    assert [source.jpeg(i) for i in range(10)] == [image for images in faces for image in images]
    assert np.abs(source.rgb(7).astype(int) - picture(3, 3)).mean() < 3
    assert source.name(7) == f"{emore}/train.rec: record 8"
    assert (emore / "property").read_text() == "5,24,20"


def test_the_rec_file_itself_may_be_opened(emore):
    assert open_source(emore / "train.rec").fingerprint() == open_source(emore).fingerprint()


def test_labels_of_a_file_written_by_mxnet(golden):
    source = open_source(golden / "recordio" / "made_up_faces")
    assert source.labels.tolist() == [0] * 5 + [1] + [2] * 4 + [3] * 2
    assert source.rgb(0).shape == (56, 48, 3)


@pytest.mark.real
@pytest.mark.parametrize(("name", "first"), [("ms1mv2_like", 1), ("no_header", 0)])
def test_labels_of_real_faces_are_those_of_their_headers(real_file, name, first):
    folder = real_file(f"golden/recordio/{name}/train.rec").parent
    source = open_source(folder)
    expected = {item["key"]: item for item in json.loads((folder / "expected.json").read_text())["records"]}
    pictures = [key for key in sorted(expected) if "rgb_sha256" in expected[key]]
    assert len(source) == len(pictures)
    assert pictures[0] == first
    assert source.labels.tolist() == labels_of_headers(folder, pictures)
    assert source.num_classes == len({expected[key]["label"][0] for key in pictures})


def test_the_ranges_spare_reading_every_picture(emore, monkeypatch):
    monkeypatch.setattr("common.faces.record_labels.PROBES", 3)
    read = []
    unpatched = Records.__getitem__
    monkeypatch.setattr(Records, "__getitem__", lambda found, key: read.append(key) or unpatched(found, key))
    assert len(open_source(emore)) == 10
    assert sorted(read) == [0, 1, 5, 10, *range(11, 16)]


@pytest.mark.parametrize(
    "ranges",
    [
        {11: None, 12: None},  # some are absent
        {11: Record(2, vector(2, 4), 11, 0, b"")},  # the first picture belongs to nobody
        {15: Record(2, vector(9, 12), 15, 0, b"")},  # one beyond the last
        {12: Record(2, vector(3, 5), 12, 0, b"")},  # overlapping
        {12: Record(2, vector(5, 4), 12, 0, b"")},  # backwards
        {12: Record(2, vector(np.nan, 5), 12, 0, b"")},
        {12: Record(0, 4.0, 12, 0, b"")},  # one bound only
        {0: Record(1, vector(11), 0, 0, b"")},  # the header does not say where they are
        {0: Record(2, vector(11, 1e9), 0, 0, b"")},
        {
            11: Record(2, vector(4, 5), 11, 0, b""),
            12: Record(2, vector(1, 4), 12, 0, b""),
        },  # disagree with the pictures
    ],
)
def test_ranges_that_do_not_hold_give_way_to_the_headers(emore, tmp_path, ranges):
    source = open_source(changed(emore, tmp_path / "changed", ranges))
    assert source.labels.tolist() == open_source(emore).labels.tolist()
    assert source.fingerprint() == open_source(emore).fingerprint()


def test_without_a_header_every_key_is_a_picture_in_key_order(tmp_path, faces):
    images = [image for person in faces for image in person]
    places = [30, 7, 100, 8, 9]
    raw_labels = [50.0, 3.0, 50.0, 0.0, 3.0]
    records = {
        key: Record(0, label, 0, 0, images[i]) for i, (key, label) in enumerate(zip(places, raw_labels, strict=True))
    }
    source = open_source(write_records(tmp_path / "plain", records))
    assert source.labels.tolist() == [1, 0, 1, 2, 2]
    assert [source.name(i).split()[-1] for i in range(5)] == ["7", "8", "9", "30", "100"]
    assert [source.jpeg(i) for i in range(5)] == [images[i] for i in (1, 3, 4, 0, 2)]


def test_key_zero_with_a_picture_is_no_header(tmp_path, faces):
    records = {key: Record(2, vector(key, 1), 0, 0, faces[0][0]) for key in range(3)}
    assert open_source(write_records(tmp_path / "plain", records)).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("opened", ["emore", "identity_folders"])
def test_max_per_identity_keeps_the_first_of_each(opened, request):
    folder = request.getfixturevalue(opened)
    everything, some = open_source(folder), open_source(folder, max_per_identity=2)
    assert some.labels.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert [some.jpeg(i) for i in range(7)] == [everything.jpeg(i) for i in (0, 1, 3, 4, 5, 8, 9)]
    assert open_source(folder, max_per_identity=99).fingerprint() == everything.fingerprint()
    with pytest.raises(DataError, match="max_per_identity is 0"):
        open_source(folder, max_per_identity=0)


# Folders


def test_identity_folders_come_sorted_and_labelled(identity_folders, faces):
    source = open_source(identity_folders)
    assert (source.kind, source.path, len(source), source.num_classes) == ("folder", identity_folders, 10, 4)
    assert source.labels.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]
    assert [source.jpeg(i) for i in range(10)] == [image for images in faces for image in images]
    assert source.name(7) == str(identity_folders / "person_3" / "0003.jpg")


def test_other_entries_of_a_folder_change_nothing(identity_folders):
    before = open_source(identity_folders).fingerprint()
    (identity_folders / "README.txt").write_text("read me")
    (identity_folders / "loose.jpg").write_bytes(b"no identity")
    (identity_folders / ".hidden").mkdir()
    (identity_folders / ".hidden" / "0.jpg").write_bytes(b"hidden")
    (identity_folders / "person_0" / ".0.jpg").write_bytes(b"hidden")
    (identity_folders / "person_0" / "Thumbs.db").write_bytes(b"no picture")
    (identity_folders / "person_0" / "deeper.jpg").mkdir()
    assert open_source(identity_folders).fingerprint() == before


def test_png_and_capital_suffixes_are_pictures(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "2.PNG").write_bytes(cv2.imencode(".png", picture(1, 1)[:, :, ::-1])[1].tobytes())
    (tmp_path / "a" / "1.JPEG").write_bytes(encode_jpeg(picture(1, 2)))
    source = open_source(tmp_path)
    assert len(source) == 2
    assert np.array_equal(source.rgb(1), picture(1, 1))


def test_symbolic_links_are_followed_and_loops_do_not_matter(identity_folders, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for person in identity_folders.iterdir():
        (linked / person.name).symlink_to(person)
    (identity_folders / "person_0" / "loop").symlink_to(linked)
    assert open_source(linked).fingerprint() == open_source(identity_folders).fingerprint()


def test_a_link_that_leads_nowhere_is_named(identity_folders):
    (identity_folders / "person_1" / "9999.jpg").symlink_to("absent.jpg")
    source = open_source(identity_folders)
    with pytest.raises(DataError, match=r"person_1/9999\.jpg: cannot be read \(No such file"):
        source.jpeg(4)


# One identity of content


def test_packing_and_place_do_not_change_the_fingerprint(emore, identity_folders, tmp_path):
    shutil.copytree(emore, tmp_path / "moved")
    (tmp_path / "moved" / "train.idx").unlink()
    prints = {open_source(path).fingerprint() for path in (emore, tmp_path / "moved", identity_folders)}
    assert len(prints) == 1


def test_every_change_of_data_changes_the_fingerprint(emore, tmp_path, faces):
    other = encode_jpeg(picture(5, 5))
    variants = {
        "as it was": faces,
        "one picture more": [*faces[:4], [*faces[4], other]],
        "one fewer": [*faces[:4], faces[4][:1]],
        "other bytes": [[other, *faces[0][1:]], *faces[1:]],
        "two swapped": [faces[0][::-1], *faces[1:]],
        "relabelled": [faces[0][:2], [faces[0][2], *faces[1]], *faces[2:]],
        "two people made one": [faces[0], faces[1] + faces[3], faces[4]],
    }
    prints = set()
    for name, variant in variants.items():
        write_recordio_dataset(tmp_path / name, variant)
        prints.add(open_source(tmp_path / name).fingerprint())
    assert len(prints) == len(variants)
    assert open_source(emore).fingerprint() in prints


def test_a_fingerprint_reads_few_pictures_of_a_large_set(tmp_path, monkeypatch):
    write_recordio_dataset(tmp_path / "large", [[b"%d,%d" % (c, n) for n in range(20)] for c in range(150)])
    source = open_source(tmp_path / "large")
    read = []
    unpatched = type(source).jpeg
    monkeypatch.setattr(type(source), "jpeg", lambda self, sample: read.append(sample) or unpatched(self, sample))
    source.fingerprint()
    assert len(read) == len(set(read)) == 1024
    assert (read[0], read[-1]) == (0, 2999)
    assert max(np.diff(read)) <= 3


# Processes


def seen(source: FaceSource) -> tuple[str, list[int]]:
    return source.fingerprint(), source.labels.tolist()


@pytest.mark.parametrize("opened", ["emore", "identity_folders"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_see_the_same(opened, method, request):
    source = open_source(request.getfixturevalue(opened))
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(seen, (source,)) == seen(source)


def test_a_pickle_holds_no_pictures(emore):
    source = open_source(emore)
    pickled = pickle.dumps(source)
    assert len(pickled) < 1500
    assert seen(pickle.loads(pickled)) == seen(source)  # noqa: S301 (our own bytes)


# Bad data


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent: no such folder; expected train\.rec"):
        open_source(tmp_path / "absent")
    with pytest.raises(DataError, match=r"absent\.rec: cannot be opened"):
        open_source(tmp_path / "absent.rec")


def test_an_empty_folder_says_what_was_expected(tmp_path):
    (tmp_path / "nobody").mkdir()
    with pytest.raises(DataError, match=r"no faces; expected train\.rec with train\.idx, or one folder an identity"):
        open_source(tmp_path)


def test_several_rec_files_are_refused(emore):
    (emore / "train.rec").rename(emore / "one.rec")
    (emore / "train.idx").rename(emore / "one.idx")
    assert len(open_source(emore)) == 10
    shutil.copy(emore / "one.rec", emore / "two.rec")
    with pytest.raises(DataError, match=r"2 \.rec files and none is train\.rec"):
        open_source(emore)


def test_a_header_that_announces_more_pictures_than_there_are_is_refused(emore, tmp_path):
    with pytest.raises(DataError, match=r"announces pictures 1\.\.10, but key 6 is absent"):
        open_source(changed(emore, tmp_path / "gap", {6: None}))
    for announced in (1e30, np.inf, np.nan, 11.5):
        header = Record(2, vector(announced, announced), 0, 0, b"")
        with pytest.raises(DataError, match=r"header \(key 0\) announces"):
            open_source(changed(emore, tmp_path / "odd", {0: header}))


@pytest.mark.parametrize("announced", [(9, 13), (9, 11), (9,), (1, 5)])
def test_a_header_that_announces_fewer_pictures_than_there_are_is_refused(emore, tmp_path, announced):
    fewer = changed(emore, tmp_path / "fewer", {0: Record(len(announced), vector(*announced), 0, 0, b"")})
    with pytest.raises(
        DataError, match=rf"announces pictures 1\.\.{announced[0] - 1}, but key {announced[0]} has a pic"
    ):
        open_source(fewer)


def test_a_data_set_without_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match="no pictures"):
        open_source(write_records(tmp_path / "none", {0: Record(2, vector(1, 1), 0, 0, b"")}))
    with pytest.raises(ValueError, match="no pictures"):
        write_recordio_dataset(tmp_path / "none", [[], []])


@pytest.mark.parametrize("label", [-1.0, 0.5, np.nan, np.inf])
def test_a_label_that_is_no_identity_is_named(tmp_path, faces, label):
    records = {key: Record(0, 1.0, 0, 0, faces[0][0]) for key in range(4)} | {2: Record(0, label, 0, 0, faces[0][0])}
    with pytest.raises(DataError, match=r"train\.rec: record 2 has the label"):
        open_source(write_records(tmp_path / "odd", records))


def test_a_picture_that_is_empty_or_does_not_decode_is_named(emore, tmp_path):
    change = {4: Record(2, vector(1, 1), 4, 0, b""), 5: Record(2, vector(3, 1), 5, 0, b"no picture")}
    source = open_source(changed(emore, tmp_path / "bad", change))
    with pytest.raises(DataError, match=r"train\.rec: record 4 has no picture"):
        source.jpeg(3)
    with pytest.raises(DataError, match=r"train\.rec: record 5: 10 bytes .* no picture"):
        source.rgb(4)


# What is no file, and odd names


def test_a_pipe_in_a_folder_of_photos_is_named_not_waited_for(identity_folders):
    os.mkfifo(identity_folders / "person_1" / "0009.jpg")
    source = open_source(identity_folders)
    with pytest.raises(DataError, match=r"person_1/0009\.jpg: not a regular file"):
        source.jpeg(4)


def test_a_link_to_itself_is_named(identity_folders):
    loop = identity_folders / "person_1" / "9999.jpg"
    loop.symlink_to(loop)
    with pytest.raises(DataError, match=r"person_1/9999\.jpg: cannot be (read|listed) \(Too many levels"):
        open_source(identity_folders).jpeg(4)


def test_names_that_are_not_utf_8_are_read_and_shown(tmp_path, faces):
    person = os.fsencode(tmp_path / "photos") + b"/J\xfcrg"
    os.makedirs(person)
    Path(os.fsdecode(person + b"/\xe9t\xe9.jpg")).write_bytes(faces[0][0])
    source = open_source(tmp_path / "photos")
    assert source.jpeg(0) == faces[0][0]
    assert source.people == [r"J\xfcrg"]
    assert source.name(0) == rf"{tmp_path}/photos/J\xfcrg/\xe9t\xe9.jpg"
    source.name(0).encode()


@pytest.mark.parametrize("text", ["{", "null", '["a", 1, "c", "d"]', "[" * 100_000])
def test_names_that_are_no_list_of_names_are_refused(emore, text):
    (emore / "identities.json").write_text(text)
    with pytest.raises(DataError, match=r"identities\.json: damaged .*: mend or remove it"):
        _ = open_source(emore).people


@pytest.mark.parametrize("kind", ["emore", "identity_folders"])
@pytest.mark.parametrize("chosen", [[0], [1, 2], [9, 3, 4, 0], list(range(10))])
def test_stretches_hold_the_pictures_of_the_samples_and_of_no_others(kind, chosen, request):
    source = open_source(request.getfixturevalue(kind))
    stretches = source.stretches(np.array(chosen))
    held = []
    for file, start, size in stretches:
        with open(file, "rb") as opened:
            opened.seek(start)
            held.append(opened.read(size))
            assert len(held[-1]) == size > 0
    for sample in range(len(source)):
        assert any(source.jpeg(sample) in part for part in held) == (sample in chosen), sample
    if kind == "emore":
        neighbours = np.diff(sorted(chosen)) == 1
        assert len(stretches) == 1 + np.count_nonzero(~neighbours), "neighbours are one stretch"


def test_a_subset_and_a_limit_count_their_own_samples(emore):
    whole, limited = open_source(emore), open_source(emore, max_per_identity=1)
    some = SubsetSource(whole, np.array([3, 4, 8]))
    assert some.stretches(np.array([2])) == whole.stretches(np.array([8]))
    assert limited.stretches(np.array([1])) == whole.stretches(np.array([3]))


@pytest.mark.parametrize("kind", ["emore", "identity_folders"])
def test_announced_pictures_come_into_memory_and_no_others(kind, tmp_path):
    """Pictures of 100 KB, so that a page of one is not one of its neighbour's."""
    noise = np.random.default_rng(0)
    large = [[encode_jpeg(noise.integers(0, 256, (300, 300, 3), np.uint8)) for _ in range(4)]]
    if kind == "emore":
        write_recordio_dataset(tmp_path / "large", large)
    else:
        (tmp_path / "large/person").mkdir(parents=True)
        for number, image in enumerate(large[0]):
            (tmp_path / f"large/person/{number}.jpg").write_bytes(image)
    source = open_source(tmp_path / "large")
    places = [source.stretches(np.array([sample]))[0] for sample in range(4)]
    drop(*{place.file for place in places})
    SubsetSource(source, np.array([0, 2])).announce(np.array([1]))
    assert within(5, lambda: resident(places[2].file, places[2].start + 5000))
    assert not resident(places[0].file, places[0].start + 5000)


def test_a_picture_that_is_gone_cannot_be_announced(identity_folders):
    source = open_source(identity_folders)
    (identity_folders / "person_0/0000.jpg").unlink()
    with pytest.raises(DataError, match=r"person_0/0000\.jpg"):
        source.announce(np.array([0]))
    with pytest.raises(FileNotFoundError):
        source.stretches(np.array([0]))
