"""numpy's values inside a pickle, rebuilt from `evaluate.files.pickled` nodes by interpretation, never by calling.

Sources: numpy's `ndarray.__reduce__`, `__reduce_ex__(5)`, `dtype.__reduce__`, under numpy 1 (`numpy.core`) and 2
(`numpy._core`), written by Python 2 or 3.
"""

import re
from typing import Any

import numpy as np

from common.errors import DataError
from evaluate.files.pickled import Call, Global

ARRAY_GLOBALS = frozenset(
    ["_codecs.encode", "numpy.dtype", "numpy.ndarray"]
    + [f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")]
    + [f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")]
)
_PLAIN_DTYPE = re.compile(r"[biuf][1248]|[US][0-9]{1,6}|O8?")


class ArrayInterpreter:
    """Gives the nodes of one file their numpy meaning; `where` names the file in errors."""

    def __init__(self, where: str) -> None:
        self.where = where
        # A memoised text may be used a million times in few bytes: encode it once, share the result.
        self._encoded: dict[int, bytes] = {}

    def raw(self, node: Any) -> bytes:
        """Bytes, or the text that Python 3 makes of them in protocol 2 (`_codecs.encode(text, 'latin1')`)."""
        if isinstance(node, Call) and node.name == "_codecs.encode" and len(node.args) == 2:
            text, encoding = node.args
            if isinstance(text, str) and encoding in ("latin1", b"latin1"):
                if id(text) not in self._encoded:
                    try:
                        self._encoded[id(text)] = text.encode("latin1")
                    except UnicodeEncodeError as error:
                        raise DataError(f"{self.where}: bytes written as text that is not latin1") from error
                return self._encoded[id(text)]
        if not isinstance(node, bytes):
            raise DataError(f"{self.where}: expected bytes, found {type(node).__name__}")
        return node

    def array(self, node: Any) -> np.ndarray:
        """A numpy array of numbers, text or (object arrays) a list's items. Read-only; shares the file's bytes."""
        name = node.name if isinstance(node, Call) else type(node).__name__
        if name.endswith("._frombuffer") and len(node.args) == 4:
            payload, dtype_node, shape, order = node.args
            fortran = order in ("F", b"F")
        elif name.endswith("._reconstruct") and isinstance(node.state, tuple) and len(node.state) == 5:
            if not node.args or node.args[0] != Global("numpy.ndarray"):
                raise DataError(f"{self.where}: rebuilds something that is no numpy array")
            _, shape, dtype_node, fortran, payload = node.state
        else:
            raise DataError(f"{self.where}: {name[:60]} where an array was expected")
        dtype = self.dtype(dtype_node)
        if not isinstance(shape, tuple) or not all(isinstance(side, int) and 0 <= side < 1 << 40 for side in shape):
            raise DataError(f"{self.where}: an array of shape {str(shape)[:60]}")
        if dtype.hasobject:
            flat = self._objects(payload)
        else:
            content = self.raw(payload)
            if len(content) % dtype.itemsize:
                raise DataError(f"{self.where}: {len(content)} bytes are no whole number of {dtype} items")
            flat = np.frombuffer(content, dtype)
        try:
            return flat.reshape(shape, order="F" if fortran else "C")
        except ValueError as error:
            raise DataError(f"{self.where}: an array of shape {str(shape)[:60]} with {len(flat)} items") from error

    def scalar(self, node: Any) -> Any:
        """A numpy scalar as a Python number or bool."""
        if not isinstance(node, Call) or not node.name.endswith(".scalar") or len(node.args) != 2:
            raise DataError(f"{self.where}: {type(node).__name__} where a number was expected")
        dtype, content = self.dtype(node.args[0]), self.raw(node.args[1])
        if dtype.kind not in "biuf" or len(content) != dtype.itemsize:
            raise DataError(f"{self.where}: a numpy scalar of type {dtype} with {len(content)} bytes")
        return np.frombuffer(content, dtype)[0].item()

    def dtype(self, node: Any) -> np.dtype:
        name = node.args[0] if isinstance(node, Call) and node.name == "numpy.dtype" and node.args else None
        name = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
            raise DataError(f"{self.where}: an array of type {str(name)[:60]}")
        state = node.state if isinstance(node.state, tuple) else (3, "<")
        order = state[1] if len(state) > 1 else "<"
        try:
            dtype = np.dtype(name)
        except TypeError as error:
            raise DataError(f"{self.where}: an array of type {name}") from error
        if dtype.itemsize == 0:
            raise DataError(f"{self.where}: an array of type {name}")
        return dtype.newbyteorder(">") if order in (">", b">") else dtype

    def _objects(self, payload: Any) -> np.ndarray:
        if not isinstance(payload, list):
            raise DataError(f"{self.where}: an object array without its list of items")
        return np.fromiter(payload, object, count=len(payload))
