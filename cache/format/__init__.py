"""How a teacher cache lies on disk (docs/cache-format.md): what is where, in which bytes, and what proves it whole.

The layout follows from a few numbers; shards and metadata follow from the layout; the ledger has the digest of every
file; the seal binds ledger and manifest.
"""

from cache.format.arrays import (
    BINDS_BUILD,
    BINDS_STUDENT,
    FORMAT,
    bound,
    create_cache,
    describe_faces,
    differences,
    entry,
    layout_of,
    read_labels,
    read_manifest,
    read_part,
    read_rows,
    refuse_difference,
    refuse_teacher,
    write_empty,
    write_manifest,
    write_part,
    write_rows,
)
from cache.format.layout import Array, Layout, Unit
from cache.format.ledger import (
    check_file,
    check_files,
    finished_units,
    gather_ledger,
    read_ledger,
    read_runtimes,
    read_skipped,
    record_unit,
    withdraw_false_entry,
    wrong_size,
)
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
    "check_file",
    "check_files",
    "create_cache",
    "describe_faces",
    "differences",
    "entry",
    "finished_units",
    "from_stored",
    "gather_ledger",
    "layout_of",
    "naming_a_full_disk",
    "read_labels",
    "read_ledger",
    "read_manifest",
    "read_part",
    "read_rows",
    "read_runtimes",
    "read_skipped",
    "record_unit",
    "refuse_difference",
    "refuse_teacher",
    "refuse_too_many_shards",
    "seal_of",
    "shard_index",
    "to_stored",
    "too_many_shards",
    "withdraw_false_entry",
    "write_empty",
    "write_manifest",
    "write_metadata",
    "write_part",
    "write_rows",
    "wrong_metadata",
    "wrong_size",
]
