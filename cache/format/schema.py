"""What the JSON documents of a cache must look like before anything in them is believed (docs/cache-format.md).

They are read by common/documents.py. Fields that no program here acts on may hold anything.
"""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

_OPEN = ConfigDict(strict=True, extra="allow")
_CLOSED = ConfigDict(strict=True, extra="forbid")

# Beyond these a layout is no layout, and arithmetic on it ends in errors of its own.
Size = Annotated[int, Field(ge=1, le=2**40)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Digest = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
SampleNumber = Annotated[str, Field(pattern=r"\A(0|[1-9][0-9]{0,15})\z")]


@with_config(_CLOSED)
class FileEntry(TypedDict):
    """What the ledger keeps of one file."""

    bytes: Count
    sha256: Digest


@with_config(_OPEN)
class Record(TypedDict):
    """The file of one finished unit, and what is gathered from all of them."""

    files: dict[str, FileEntry]
    skipped: dict[SampleNumber, str]
    runtimes: list[dict[str, Any]]
    units: dict[str, list[Count]]


@with_config(_CLOSED)
class LedgerGroup(TypedDict):
    """ledger/zarr.json."""

    attributes: Record
    node_type: Literal["group"]
    zarr_format: Literal[3]


@with_config(_CLOSED)
class LayoutFields(TypedDict):
    """The arguments of a Layout."""

    views: Size
    samples: Size
    dim: Size
    classes: Size
    dtype: Literal["float16", "float32", "int8"]
    shard_rows: Size
    chunk_rows: Size


@with_config(_OPEN)
class Teacher(TypedDict):
    name: str
    weights_sha256: str
    size: Annotated[list[Size], Field(min_length=2, max_length=2)]
    channel_order: str
    precision: str


@with_config(_OPEN)
class Faces(TypedDict):
    kind: str
    samples: Size
    identities: Size
    fingerprint: str
    aligner: NotRequired[dict[str, Any]]


@with_config(_OPEN)
class ViewsFields(TypedDict):
    policy: str
    seed: int
    count: Size


@with_config(_CLOSED)
class Sealed(TypedDict):
    ledger: Digest
    files: Count
    manifest: Digest
    skipped: NotRequired[dict[SampleNumber, str]]


@with_config(_OPEN)
class Manifest(TypedDict):
    """The attribute `teacher_cache` of this format."""

    format: int
    teacher: Teacher
    faces: Faces
    views: ViewsFields
    confidence: Literal["center", "leave_one_out"]
    decoder: str
    layout: LayoutFields
    created: str
    subset: NotRequired[dict[str, Any]]
    sealed: Sealed | None


@with_config(_OPEN)
class Headed(TypedDict):
    """A manifest of any format."""

    format: int


@with_config(_OPEN)
class HeadedAttributes(TypedDict):
    teacher_cache: Headed


@with_config(_OPEN)
class HeadedGroup(TypedDict):
    """The root's zarr.json as far as every format agrees."""

    attributes: HeadedAttributes


@with_config(_CLOSED)
class RootAttributes(TypedDict):
    teacher_cache: Manifest


@with_config(_CLOSED)
class RootGroup(TypedDict):
    """The root's zarr.json; nothing in it is left unbound."""

    attributes: RootAttributes
    node_type: Literal["group"]
    zarr_format: Literal[3]
