"""Files written here are those that mxnet 1.9.1 writes, and each reads the other's. Needs `.venv-mxnet`."""

import hashlib
import json
import random
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from common.faces import open_source
from common.faces.pixels import decode_rgb, encode_jpeg
from common.faces.recordio import MAGIC, Record, Records, RecordWriter
from photos.pack import pack
from photos.sets.ijb import png_of
from tests.tiny import portrait

MXNET = Path(__file__).parents[2] / ".venv-mxnet" / "bin" / "python"
EXIF = "ffe1 0022 457869660000 49492a0008000000 0100 12010300010000000{}000000 00000000"  # orientation 1 to 8
JFIF_END = 20  # the first segment of a JPEG that OpenCV encodes ends here
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MXNET.exists(), reason="no .venv-mxnet (made by `make test-mxnet`)"),
]


def witness(*arguments):
    script = Path(__file__).with_name("mxnet_witness.py")
    subprocess.run([MXNET, script, *map(str, arguments)], check=True)


def awkward_bytes(rng: random.Random, longest: int) -> bytes:
    """Random bytes with the magic, pieces of it and its mirror image strewn in."""
    made = b""
    while len(made) < longest and rng.random() < 0.8:
        made += rng.choice([MAGIC, MAGIC[:3], MAGIC[::-1], MAGIC * 3, bytes(4), rng.randbytes(rng.randrange(40))])
    return made


def random_spec(seed: int, count: int) -> list[dict]:
    """Image and bare records under shuffled keys; ids and labels hold the magic, too."""
    rng = random.Random(seed)
    magic_number = struct.unpack("<I", MAGIC)[0]
    keys = rng.sample(range(10 * count), count)
    spec = []
    for key in keys:
        payload = awkward_bytes(rng, 400)
        if rng.random() < 0.1:
            rgb = np.frombuffer(rng.randbytes(40 * 32 * 3), np.uint8).reshape(40, 32, 3)
            payload = encode_jpeg(rgb, quality=rng.randrange(30, 100))
            exif = bytes.fromhex(EXIF.format(rng.randrange(1, 9)))
            at = rng.choice([0, 2, JFIF_END])
            payload = payload[:at] + exif + payload[at:] if at else payload
        if rng.random() < 0.2:
            spec.append({"key": key, "labels": None, "payload": payload.hex()})
            continue
        scalar = rng.random() < 0.5
        labels = [
            rng.choice([0.0, 1.0, 85741.0, -0.5, struct.unpack("<f", MAGIC)[0]]) for _ in range(rng.randrange(1, 6))
        ]
        ids = [rng.choice([key, magic_number, magic_number << 32, 2**64 - 1]) for _ in range(2)]
        spec.append(
            {
                "key": key,
                "scalar": scalar,
                "labels": np.array(labels[:1] if scalar else labels, "<f4").tobytes().hex(),
                "id": ids[0],
                "id2": ids[1],
                "payload": payload.hex(),
            }
        )
    return spec


def write_ours(spec: list[dict], folder: Path) -> None:
    with RecordWriter(folder / "ours.rec", folder / "ours.idx") as writer:
        for item in spec:
            payload = bytes.fromhex(item["payload"])
            if item["labels"] is None:
                writer.write_raw(item["key"], payload)
                continue
            labels = np.frombuffer(bytes.fromhex(item["labels"]), "<f4")
            label = float(labels[0]) if item["scalar"] else labels
            writer.write(item["key"], Record(0, label, item["id"], item["id2"], payload))


@pytest.fixture(scope="module", params=range(3))
def exchanged(request, tmp_path_factory) -> Path:
    """A folder with the same 700 random records written by both."""
    folder = tmp_path_factory.mktemp("exchange")
    spec = random_spec(request.param, 700)
    (folder / "spec.json").write_text(json.dumps(spec))
    write_ours(spec, folder)
    witness("write", folder / "spec.json", folder / "mxnet.rec", folder / "mxnet.idx")
    return folder


def test_both_write_the_same_bytes(exchanged):
    for suffix in (".rec", ".idx"):
        assert (exchanged / f"ours{suffix}").read_bytes() == (exchanged / f"mxnet{suffix}").read_bytes()


def test_mxnet_reads_our_file_as_we_do(exchanged):
    witness("read", exchanged / "ours.rec", exchanged / "ours.idx", exchanged / "seen.json")
    assert_same_reading(Records(exchanged / "ours.rec"), json.loads((exchanged / "seen.json").read_text()))


def test_we_read_a_file_of_mxnet_as_it_does(exchanged):
    witness("read", exchanged / "mxnet.rec", exchanged / "mxnet.idx", exchanged / "seen.json")
    assert_same_reading(Records(exchanged / "mxnet.rec"), json.loads((exchanged / "seen.json").read_text()))


def assert_same_reading(records: Records, seen: list[dict]) -> None:
    assert records.keys == [item["key"] for item in seen]
    pictures = 0
    for item in seen:
        assert records.raw(item["key"]).hex() == item["raw"]
        if "flag" not in item:
            continue
        record = records[item["key"]]
        assert (record.flag, record.id, record.id2) == (item["flag"], item["id"], item["id2"])
        assert np.asarray(record.label, "<f4").tobytes().hex() == item["labels"]
        assert record.payload.hex() == item["payload"]
        if "rgb_sha256" in item:
            rgb = decode_rgb(record.payload, "exchanged")
            assert list(rgb.shape) == item["rgb_shape"]
            assert hashlib.sha256(rgb.tobytes()).hexdigest() == item["rgb_sha256"]
            pictures += 1
    assert pictures > 20


def test_mxnet_reads_the_faces_that_photos_packed(tmp_path):
    """Labels, keys and pixels of a packed folder, JPEG and PNG, as mxnet decodes them."""
    for person in range(3):
        (tmp_path / "aligned" / f"person {person}").mkdir(parents=True)
        for photo in range(person + 1):
            picture = png_of(portrait(person, photo)) if photo else encode_jpeg(portrait(person, photo))
            (tmp_path / "aligned" / f"person {person}" / f"{photo}.{'png' if photo else 'jpg'}").write_bytes(picture)
    for form, quality in (("exact", None), ("jpeg", 95)):
        pack(tmp_path / "aligned", tmp_path / form, quality=quality)
        witness("read", tmp_path / form / "train.rec", tmp_path / form / "train.idx", tmp_path / "seen.json")
        seen = {item["key"]: item for item in json.loads((tmp_path / "seen.json").read_text())}
        packed = open_source(tmp_path / form)
        labels = {key: np.frombuffer(bytes.fromhex(item["labels"]), "<f4").tolist() for key, item in seen.items()}
        assert labels[0] == [7, 10]
        assert [labels[key] for key in range(1, 7)] == [[label, 1] for label in (0, 1, 1, 2, 2, 2)]
        assert [labels[key] for key in range(7, 10)] == [[1, 2], [2, 4], [4, 7]]
        for key in range(1, 7):
            assert bytes.fromhex(seen[key]["payload"]) == packed.jpeg(key - 1)
            if "rgb_sha256" in seen[key]:
                assert seen[key]["rgb_sha256"] == hashlib.sha256(packed.rgb(key - 1).tobytes()).hexdigest()
        assert sum("rgb_sha256" in item for item in seen.values()) == (3 if quality is None else 6)
