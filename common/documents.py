"""Read what programs wrote down (JSON, JSON lines), and believe nothing of it: one typed reader for every format.

    manifest = read_document(path, Manifest, CacheError, "build the cache again")

Whatever is wrong with such a file (missing, a folder, not UTF-8, not JSON, nested without end, larger than memory,
other types than promised) becomes one line with its path and what to do.
"""

import functools
import os
import stat
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from common.errors import DataError, UserError

T = TypeVar("T")
LARGEST = 1 << 30


def read_document(
    path: Path, kind: type[T], error: type[UserError] = DataError, remedy: str = "remove it and run again"
) -> T:
    """The JSON value in a file as a `kind`: a pydantic model, a TypedDict, or plain types such as dict[str, int].

    Raises `error`, in one line that ends in `remedy`, when there is no such regular file or it holds anything else.
    """
    return parse_document(read_regular(path, error, remedy), kind, f"{path}", error, remedy)


def parse_document(content: bytes, kind: type[T], origin: str, error: type[UserError], remedy: str) -> T:
    """`read_document` of bytes at hand; origin: how the message calls them."""
    try:
        value: T = _reader(cast(Any, kind)).validate_json(content)
        return value
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise error(f"{origin}: damaged{f' at {field}' if field else ''} ({first['msg']}): {remedy}") from None
    except (RecursionError, MemoryError) as wrong:
        raise error(f"{origin}: damaged ({type(wrong).__name__}): {remedy}") from None


@functools.cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    """Made once a type, for making one takes much longer than reading a record with it."""
    return TypeAdapter(kind)


def read_regular(path: Path, error: type[UserError] = DataError, remedy: str = "", largest: int = LARGEST) -> bytes:
    """All bytes of a regular file; folders, pipes, devices and files above `largest` bytes are refused, not waited for.

    Raises `error` in one line, also when the file is missing or may not be read.
    """
    way_out = f": {remedy}" if remedy else ""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise error(f"{path}: not a regular file{way_out}")
            if found.st_size > largest:
                raise error(f"{path}: {found.st_size:,} bytes, more than the {largest:,} such a file can have{way_out}")
            return file.read()
    except (OSError, ValueError) as wrong:
        if isinstance(wrong, UserError):
            raise
        reason: Any = getattr(wrong, "strerror", None) or wrong
        raise error(f"{path}: cannot be read ({reason}){way_out}") from wrong
