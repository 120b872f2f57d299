"""The digest of a model: over every byte its weights are made of.

Most weights are one file, and their digest is that file's SHA-256, as publishers state it. An ONNX graph may keep its
tensors in other files (`external data`); then the digest is that of a list with the digest and name of every file.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import ExternalDataInfo

from common.errors import ModelError
from common.files import sha256_of


def digest_of(weights: Path) -> str:
    """Hex SHA-256 of a file of weights and of the files it refers to.

    Raises:
        ModelError: a file cannot be read, or an ONNX graph names one outside its own folder.
    """
    try:
        own = sha256_of(weights)
        others = external_files(weights)
        if not others:
            return own
        listed = [f"{own}  ", *(f"{sha256_of(weights.parent / name)}  {name}" for name in others)]
    except OSError as error:
        raise ModelError(
            f"{error.filename or weights}: weights cannot be read ({error.strerror}): see to it, or name others"
        ) from None
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def external_files(weights: Path) -> list[str]:
    """Files an ONNX graph keeps tensors in, sorted, relative to its folder; none for any other weights."""
    if weights.suffix != ".onnx":
        return []
    try:
        graph = onnx.load(weights, load_external_data=False)
    except OSError:
        raise
    except Exception:  # protobuf raises several unrelated types; whoever opens it says that it is no graph
        return []
    names = {
        ExternalDataInfo(tensor).location
        for tensor in _tensors(graph)
        if onnx.external_data_helper.uses_external_data(tensor)
    }
    for name in names:
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{weights}: keeps tensors in {name!r}, outside its folder; export it again")
    return sorted(names)


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Every tensor of a graph, those in attributes, subgraphs and functions included."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if isinstance(value, list) or hasattr(value, "add") else [value]:
                yield from _tensors(inner)
