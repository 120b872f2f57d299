"""How a teacher cache lies on disk (docs/cache-format.md): its layout, shards, rows, ledger and seals."""

from cache.format.arrays import (
    BINDS_BUILD,
    BINDS_STUDENT,
    FORMAT,
    bound,
    create,
    describe_faces,
    entry,
    layout_of,
    read_labels,
    read_manifest,
    read_part,
    refuse_difference,
    refuse_teacher,
    write_manifest,
    write_part,
    write_rows,
)
from cache.format.layout import Array, Layout, Unit
from cache.format.mapping import RowWindow, refuse_too_many_shards, too_many_shards
from cache.format.metadata import write_metadata, wrong_metadata
from cache.format.row_types import from_stored, to_stored
from cache.format.seals import broken_seals, seal_of
from cache.format.shards import CRC_BYTES, MEND, naming_a_full_disk, shard_index

__all__ = [
    "BINDS_BUILD",
    "BINDS_STUDENT",
    "CRC_BYTES",
    "FORMAT",
    "MEND",
    "Array",
    "Layout",
    "RowWindow",
    "Unit",
    "bound",
    "broken_seals",
    "create",
    "describe_faces",
    "entry",
    "from_stored",
    "layout_of",
    "naming_a_full_disk",
    "read_labels",
    "read_manifest",
    "read_part",
    "refuse_difference",
    "refuse_teacher",
    "refuse_too_many_shards",
    "seal_of",
    "shard_index",
    "to_stored",
    "too_many_shards",
    "write_manifest",
    "write_metadata",
    "write_part",
    "write_rows",
    "wrong_metadata",
]
