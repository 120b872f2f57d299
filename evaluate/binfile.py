"""Verification sets in InsightFace's `.bin` format, read without running the pickle they are.

A `.bin` pickles `(pictures, issame)`: 2P encoded pictures (pair i is pictures 2i and 2i+1) and P booleans. Thirteen
years of writers left many spellings of it: pictures as Python 2 strings, bytes, or uint8 arrays of shape (n,) or
(n,1); labels as bools, 0/1, numpy bools or one boolean array; numpy 1 or 2; protocols 2 to 5. All of them are read,
and nothing else is: the file may mention the callables of `ALLOWED`, which are interpreted here and never called.
"""

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError
from evaluate.pickled import Call, Global, read_pickle

ALLOWED = frozenset(
    ["_codecs.encode", "numpy.dtype", "numpy.ndarray"]
    + [f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")]
    + [f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")]
)
# Fifty times the largest public set: what is read into memory has a bound.
MAX_BYTES = 4 << 30
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def read_bin(path: str | os.PathLike) -> tuple[list[bytes], np.ndarray]:
    """The encoded pictures (2P of them, JPEG or PNG bytes) and `issame`, bool (P,).

    Raises DataError naming the path and the reason if the file is missing, damaged, not of this format, or asks to
    call anything that no writer of the format needs. Pictures are not decoded here.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: {path.stat().st_size:,} bytes; a verification set has at most {MAX_BYTES:,}")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    content = read_pickle(data, ALLOWED, str(path))
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise DataError(f"{path}: holds no (pictures, issame) pair; is it a verification set?")
    reader = _Interpreter(path)
    issame = reader.labels(content[1])
    pictures = reader.pictures(content[0])
    if len(pictures) != 2 * len(issame):
        raise DataError(f"{path}: {len(pictures)} pictures for {len(issame)} pairs, expected {2 * len(issame)}")
    if not len(issame):
        raise DataError(f"{path}: holds no pairs")
    return pictures, issame


def write_bin(path: str | os.PathLike, pictures: Sequence[bytes], issame: Sequence[bool] | np.ndarray) -> None:
    """Write a set as plain bytes and bools, pickle protocol 4: every known reader takes it. Atomic."""
    if len(pictures) != 2 * len(issame):
        raise DataError(f"{path}: {len(pictures)} pictures for {len(issame)} pairs, expected {2 * len(issame)}")
    content = ([bytes(picture) for picture in pictures], [bool(same) for same in issame])
    target = Path(path)
    unfinished = target.with_name(target.name + ".part")
    unfinished.write_bytes(pickle.dumps(content, protocol=4))
    unfinished.replace(target)


class _Interpreter:
    """Gives the nodes of one file their meaning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A memoised text may be used a million times in few bytes: encode it once, share the result.
        self.encoded: dict[int, bytes] = {}

    def pictures(self, node: Any) -> list[bytes]:
        if not isinstance(node, list | tuple):
            raise DataError(f"{self.path}: the pictures are no list")
        return [self.picture(number, item) for number, item in enumerate(node)]

    def picture(self, number: int, node: Any) -> bytes:
        payload = self.array(node, "u1") if isinstance(node, Call) and node.name != "_codecs.encode" else node
        picture = self.raw(payload)
        if not picture.startswith(_PICTURE_STARTS):
            raise DataError(f"{self.path}: picture {number} is neither a JPEG nor a PNG")
        return picture

    def labels(self, node: Any) -> np.ndarray:
        if isinstance(node, Call):
            return np.frombuffer(self.array(node, "b1"), np.uint8) != 0
        if not isinstance(node, list | tuple):
            raise DataError(f"{self.path}: issame is no list")
        return np.array([self.label(number, item) for number, item in enumerate(node)], bool)

    def label(self, number: int, node: Any) -> bool:
        if isinstance(node, Call) and node.name.endswith(".scalar") and len(node.args) == 2:
            self.expect_dtype(node.args[0], "b1")
            value = self.raw(node.args[1])
            if value in (b"\0", b"\1"):
                return value == b"\1"
        elif node in (True, False):
            return bool(node)
        raise DataError(f"{self.path}: issame {number} is neither true nor false")

    def raw(self, node: Any) -> bytes:
        """Bytes, or the text that Python 3 makes of them in protocol 2 (`_codecs.encode(text, 'latin1')`)."""
        if isinstance(node, Call) and node.name == "_codecs.encode" and len(node.args) == 2:
            text, encoding = node.args
            if isinstance(text, str) and encoding in ("latin1", b"latin1"):
                if id(text) not in self.encoded:
                    try:
                        self.encoded[id(text)] = text.encode("latin1")
                    except UnicodeEncodeError as error:
                        raise DataError(f"{self.path}: bytes written as text that is not latin1") from error
                return self.encoded[id(text)]
        if not isinstance(node, bytes):
            raise DataError(f"{self.path}: expected bytes, found {type(node).__name__}")
        return node

    def array(self, node: Call, kind: str) -> bytes:
        """The content of a pickled one-byte-per-item array whose items lie in one row or one column."""
        if node.name.endswith("._frombuffer") and len(node.args) == 4:
            payload, dtype, shape, _ = node.args
        elif node.name.endswith("._reconstruct") and isinstance(node.state, tuple) and len(node.state) == 5:
            if not node.args or node.args[0] != Global("numpy.ndarray"):
                raise DataError(f"{self.path}: rebuilds something that is no numpy array")
            _, shape, dtype, _, payload = node.state
        else:
            raise DataError(f"{self.path}: {node.name} is used in a way that numpy does not use it")
        self.expect_dtype(dtype, kind)
        content = self.raw(payload)
        if not isinstance(shape, tuple) or shape not in ((len(content),), (len(content), 1), (1, len(content))):
            raise DataError(f"{self.path}: an array of shape {str(shape)[:40]} with {len(content)} bytes")
        return content

    def expect_dtype(self, node: Any, kind: str) -> None:
        names = (kind, kind.encode())
        if not isinstance(node, Call) or node.name != "numpy.dtype" or not node.args or node.args[0] not in names:
            raise DataError(f"{self.path}: an array of another type than {kind}")
