"""Verification sets in InsightFace's `.bin` format, read without running the pickle they are.

A `.bin` pickles `(pictures, issame)`: 2P encoded pictures (pair i is pictures 2i and 2i+1) and P booleans. Thirteen
years of writers left many spellings of it: pictures as Python 2 strings, bytes, or uint8 arrays of shape (n,) or
(n,1); labels as bools, 0/1, numpy bools or one boolean array; numpy 1 or 2; protocols 2 to 5. All of them are read,
and nothing else is: the file may mention numpy's own callables, which are interpreted here and never called.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from common.documents import read_regular
from common.errors import DataError
from common.foreign import refuse_foreign
from evaluate.files.pickled import Call, read_pickle
from evaluate.files.pickled_arrays import ARRAY_GLOBALS, ArrayInterpreter

# Fifty times the largest public set: what is read into memory has a bound.
MAX_BYTES = 4 << 30
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def load_bin(path: str | os.PathLike[str]) -> tuple[list[bytes], np.ndarray]:
    """The encoded pictures (2P of them, JPEG or PNG bytes) and `issame`, bool (P,).

    Raises DataError naming the path and the reason if the file is missing, damaged, not of this format, or asks to
    call anything that no writer of the format needs. Pictures are not decoded here.
    """
    path = Path(path)
    data = read_regular(path, DataError, "give a verification set (.bin)", MAX_BYTES)
    refuse_foreign(data, str(path), "verification set (.bin)")
    content = read_pickle(data, ARRAY_GLOBALS, str(path))
    if not isinstance(content, list | tuple) or len(content) != 2:
        raise DataError(f"{path}: holds no (pictures, issame) pair; is it a verification set?")
    interpreter = ArrayInterpreter(str(path))
    issame = _labels(content[1], interpreter)
    pictures = _pictures(content[0], interpreter)
    if len(pictures) != 2 * len(issame):
        raise DataError(f"{path}: {len(pictures)} pictures for {len(issame)} pairs, expected {2 * len(issame)}")
    if not len(issame):
        raise DataError(f"{path}: holds no pairs")
    return pictures, issame


def _pictures(node: Any, interpreter: ArrayInterpreter) -> list[bytes]:
    if not isinstance(node, list | tuple):
        raise DataError(f"{interpreter.where}: the pictures are no list")
    pictures = []
    for number, item in enumerate(node):
        if isinstance(item, Call) and item.name != "_codecs.encode":
            array = interpreter.array(item)
            if array.dtype != np.uint8:
                raise DataError(f"{interpreter.where}: picture {number} is an array of {array.dtype}, not uint8")
            picture = array.tobytes()
        else:
            picture = interpreter.raw(item)
        if not picture.startswith(_PICTURE_STARTS):
            raise DataError(f"{interpreter.where}: picture {number} is neither a JPEG nor a PNG")
        pictures.append(picture)
    return pictures


def _labels(node: Any, interpreter: ArrayInterpreter) -> np.ndarray:
    if isinstance(node, Call):
        array = interpreter.array(node)
        if array.dtype != bool or array.ndim != 1:
            raise DataError(f"{interpreter.where}: issame is an array of {array.dtype}, not bool")
        # Any byte but 0 is true; copied, so that no bool holds anything but 0 or 1.
        return np.not_equal(array.view(np.uint8), 0)
    if not isinstance(node, list | tuple):
        raise DataError(f"{interpreter.where}: issame is no list")
    labels = [interpreter.scalar(item) if isinstance(item, Call) else item for item in node]
    for number, label in enumerate(labels):
        if label not in (True, False):
            raise DataError(f"{interpreter.where}: issame {number} is neither true nor false")
    return np.array(labels, bool)
