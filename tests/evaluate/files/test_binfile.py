"""Verification sets: every spelling real writers use is read, everything else is refused, nothing is ever run."""

import hashlib
import json
import pickle
import struct

import cv2
import numpy as np
import pytest

from common.errors import DataError
from common.faces.evaluation_sets import write_bin
from evaluate.files.binfile import load_bin
from evaluate.files.pickled import read_pickle

MARKER = "PICKLE_WAS_EXECUTED"


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


PICTURES = [jpeg(seed) for seed in range(8)]
ISSAME = [True, False, False, True]


def same_set(path) -> bool:
    pictures, issame = load_bin(path)
    return list(pictures) == PICTURES and issame.dtype == bool and issame.tolist() == ISSAME


# A hand assembler for what this Python cannot write any more.
def short(text: bytes) -> bytes:
    return b"U" + struct.pack("<B", len(text)) + text


def py2_string(text: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(text)) + text


def a_list(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def py2_file(pictures: list[bytes], labels: list[bytes]) -> bytes:
    return b"\x80\x02" + a_list(pictures) + a_list(labels) + b"\x86."


BOOLS = [b"\x88" if same else b"\x89" for same in ISSAME]
U1 = (
    b"cnumpy\ndtype\n"
    + short(b"u1")
    + b"K\x00K\x01\x87R(K\x03"
    + short(b"|")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
B1 = U1.replace(b"u1", b"b1")


def py2_array(content: bytes, column: bool) -> bytes:
    rows = b"M" + struct.pack("<H", len(content))
    shape = rows + b"K\x01\x86" if column else rows + b"\x85"
    rebuilt = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + short(b"b") + b"\x87R"
    return rebuilt + b"(K\x01" + shape + U1 + b"\x89" + py2_string(content) + b"tb"


def py2_bool(same: bool) -> bytes:
    return b"cnumpy.core.multiarray\nscalar\n" + B1 + short(bytes([same])) + b"\x86R"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("picture", [bytes, "array", "column"])
@pytest.mark.parametrize("label", [bool, int, np.bool_, "array", "tuple"])
def test_every_spelling_python3_writes_is_read(tmp_path, protocol, picture, label):
    pictures = PICTURES
    if picture is not bytes:
        pictures = [np.frombuffer(p, np.uint8).copy() for p in PICTURES]
        if picture == "column":
            pictures = [p[:, None] for p in pictures]
    labels = {"array": np.array(ISSAME), "tuple": tuple(ISSAME)}.get(label)
    content = (pictures, labels if labels is not None else [label(same) for same in ISSAME])
    written = pickle.dumps(content, protocol=protocol)
    spellings = [written]
    if protocol < 4:  # numpy 1 and 2 differ in the module's name only, here without a length in front
        spellings.append(written.replace(b"numpy._core", b"numpy.core"))
    for number, spelling in enumerate(spellings):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(spelling)
        assert same_set(path)


@pytest.mark.parametrize(
    "content",
    [
        py2_file([py2_string(p) for p in PICTURES], BOOLS),
        py2_file([py2_array(p, column=False) for p in PICTURES], BOOLS),
        py2_file([py2_array(p, column=True) for p in PICTURES], BOOLS),
        py2_file([py2_string(p) for p in PICTURES], [py2_bool(same) for same in ISSAME]),
    ],
    ids=["strings", "arrays", "columns", "numpy bools"],
)
def test_every_spelling_python2_wrote_is_read(tmp_path, content):
    (tmp_path / "py2.bin").write_bytes(content)
    assert same_set(tmp_path / "py2.bin")


def test_what_is_written_is_read_back_and_by_plain_pickle_too(tmp_path):
    path = tmp_path / "set.bin"
    write_bin(path, PICTURES, np.array(ISSAME))
    assert same_set(path)
    with path.open("rb") as file:
        assert pickle.load(file, encoding="bytes") == (PICTURES, ISSAME)  # noqa: S301
    assert not list(tmp_path.glob("*.part"))


class Runs:
    """Pickles to a call of anything."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def name_a_global(module: str, attribute: str, argument: str) -> bytes:
    text = lambda word: b"\x8c" + struct.pack("<B", len(word)) + word.encode()  # noqa: E731
    return b"\x80\x04" + text(module) + text(attribute) + b"\x93" + text(argument) + b"\x85R."


HOSTILE = {
    "mkdir": pickle.dumps(Runs(__import__("os").mkdir, MARKER), 2),
    "eval": b"\x80\x02c__builtin__\neval\n" + short(f"__import__('os').mkdir('{MARKER}')".encode()) + b"\x85R.",
    "popen": name_a_global("subprocess", "Popen", "mkdir"),
    "numpy, dotted": name_a_global("numpy.lib._datasource", "os.mkdir", MARKER),
    "numpy, runs strings": name_a_global("numpy.testing._private.utils", "runstring", MARKER),
    "numpy, loads files": name_a_global("numpy", "load", MARKER),
    "inside the list": pickle.dumps(([PICTURES[0], Runs(__import__("os").mkdir, MARKER)], [True]), 4),
    "getattr": name_a_global("builtins", "getattr", MARKER),
}
BROKEN = {
    "empty": b"",
    "no pickle": b"this is not a pickle at all",
    "cut": pickle.dumps((PICTURES, ISSAME), 4)[:700],
    "cut python 2": py2_file([py2_string(p) for p in PICTURES], BOOLS)[:-3],
    "claims a TiB": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"ab",
    "claims a TiB of frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"].",
    "negative length": b"\x80\x02T\xff\xff\xff\xffab.",
    "far memo": b"\x80\x02]r\xff\xff\xff\x7f]\x88a\x86.",
    "unset memo": b"\x80\x02h\x07.",
    "odd pictures": pickle.dumps((PICTURES[:3], [True, False]), 4),
    "no labels": pickle.dumps((PICTURES, []), 4),
    "nothing": pickle.dumps(([], []), 4),
    "a dictionary": pickle.dumps({"bins": PICTURES, "issame": ISSAME}, 4),
    "three things": pickle.dumps((PICTURES, ISSAME, 1), 4),
    "no JPEG": pickle.dumps(([b"this is not a picture", PICTURES[0]], [True]), 2),
    "text picture": pickle.dumps((["picture", "picture"], [True]), 4),
    "float pixels": pickle.dumps(([np.zeros(9), np.zeros(9)], [True]), 4),
    "label 2": pickle.dumps((PICTURES[:2], [2]), 4),
    "label text": pickle.dumps((PICTURES[:2], ["yes"]), 4),
    "shape and bytes differ": py2_file([py2_array(p, False).replace(b"M", b"M\x00\x00M", 1) for p in PICTURES], BOOLS),
    "holds itself": b"\x80\x04]\x94h\x00h\x00\x86.",
    "protocol 9": b"\x80\x09].",
    "stack underflow": b"\x80\x02a.",
    "stop at a mark": b"\x80\x02(.",
    "unhashable key": b"\x80\x02}](K\x01e]s.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_asks_for_a_call_is_refused_and_not_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"hostile\.bin: asks to call"):
        load_bin(tmp_path / "hostile.bin")
    assert not (tmp_path / MARKER).exists()


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "broken.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.bin: "):
        load_bin(tmp_path / "broken.bin")


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"none\.bin: cannot be read"):
        load_bin(tmp_path / "none.bin")


def test_one_text_used_often_is_encoded_once(tmp_path):
    """A few bytes per use of a memoised text must not become a copy of it each."""
    text = PICTURES[0].decode("latin1").encode()
    encoded = b"c_codecs\nencode\n" + b"h\x00h\x01\x86R"
    head = b"\x80\x02X" + struct.pack("<I", len(text)) + text + b"q\x000X\x06\x00\x00\x00latin1q\x010"
    (tmp_path / "repeat.bin").write_bytes(head + a_list([encoded] * 2000) + a_list([b"\x88"] * 1000) + b"\x86.")
    pictures, _ = load_bin(tmp_path / "repeat.bin")
    assert len({id(picture) for picture in pictures}) == 1


def test_opcodes_are_capped(monkeypatch):
    monkeypatch.setattr("evaluate.files.pickled.MAX_OPCODES", 1000)
    with pytest.raises(DataError, match="more than 1,000 pickle opcodes"):
        read_pickle(b"\x80\x02" + b"]" * 2000 + b".", (), "bomb")


@pytest.mark.real
def test_reference_spellings_all_give_the_same_content(real_file):
    folder = real_file("golden/bins/variants")
    expected = json.loads((folder / "expected.json").read_text())
    content = expected["same_content_in_all"]
    assert len(expected["files"]) == 16
    for entry in expected["files"]:
        pictures, issame = load_bin(folder / entry["file"])
        assert [hashlib.sha256(picture).hexdigest() for picture in pictures] == content["jpeg_sha256"]
        assert issame.tolist() == content["issame"]
    with pytest.raises(DataError, match=r"truncated\.bin"):
        load_bin(folder / "truncated.bin")


@pytest.mark.real
def test_reference_hostile_files_are_refused_and_not_run(real_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(real_file("golden/bins/hostile").glob("*.bin"))
    assert len(files) == 12
    for path in files:
        with pytest.raises(DataError, match=path.name):
            load_bin(path)
    assert not any(tmp_path.iterdir())


@pytest.mark.real
def test_the_python2_reference_set_is_read_whole(real_file):
    pictures, issame = load_bin(real_file("golden/bins/lfw_folds12.bin"))
    expected = json.loads(real_file("golden/bins/lfw_folds12.json").read_text())
    assert [hashlib.sha256(picture).hexdigest() for picture in pictures] == expected["jpeg_sha256"]
    assert issame.tolist() == expected["issame"]
