"""How a teacher cache is cut: its arrays, their shard files, and the units of work (docs/cache-format.md)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cache.format.shards import shard_bytes


@dataclass(frozen=True)
class Unit:
    """One view of one shard of rows [start, stop)."""

    view: int
    shard: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"view{self.view}-shard{self.shard:05d}"


@dataclass(frozen=True)
class Array:
    """One array: `rows` rows of `width` numbers (None: one number), for each of V `views` (None: once)."""

    name: str
    views: int | None
    rows: int
    width: int | None
    dtype: str
    fill: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(n for n in (self.views, self.rows, self.width) if n is not None)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row as it is stored."""
        return (self.width or 1) * np.dtype(self.dtype).itemsize

    def blocks(self, rows: int) -> tuple[int, ...]:
        """Shape of a chunk or shard of so many rows, as Zarr states it."""
        return tuple(n for n in (self.views and 1, rows, self.width) if n is not None)

    def file(self, view: int, shard: int) -> str:
        """The shard's file relative to the cache: Zarr's default chunk key."""
        parts = [self.name, "c", *([view] if self.views is not None else []), shard, *([0] if self.width else [])]
        return "/".join(map(str, parts))


@dataclass(frozen=True)
class Layout:
    """Sizes of a cache: V views, N samples, D embedding width, C classes, and how rows are stored and cut."""

    views: int
    samples: int
    dim: int
    classes: int
    dtype: str
    shard_rows: int
    chunk_rows: int

    @property
    def shards(self) -> int:
        """Shards of the N rows of one view."""
        return -(-self.samples // self.shard_rows)

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array of a cache by name; `scale` is there for int8 only."""
        views, samples, nan = self.views, self.samples, float("nan")
        whole_numbers = self.dtype == "int8"
        arrays = [
            Array("embedding", views, samples, self.dim, self.dtype, 0 if whole_numbers else nan),
            *([Array("scale", views, samples, None, "float32", nan)] if whole_numbers else []),
            Array("norm", views, samples, None, "float32", nan),
            Array("confidence", views, samples, None, "float32", nan),
            Array("pixels", views, samples, None, "uint32", 0),
            Array("picture", None, samples, None, "uint32", 0),
            Array("label", None, samples, None, "int32", -1),
            Array("center", None, self.classes, self.dim, "float32", nan),
            Array("count", None, self.classes, None, "int32", -1),
        ]
        return {array.name: array for array in arrays}

    def units(self) -> Iterator[Unit]:
        """All units in the order they are written down: view by view, shard by shard."""
        for view in range(self.views):
            for shard in range(self.shards):
                start = shard * self.shard_rows
                yield Unit(view, shard, start, min(start + self.shard_rows, self.samples))

    def unit_arrays(self, unit: Unit) -> tuple[str, ...]:
        """The arrays whose shard a unit writes; what all views share is written with view 0."""
        scale = ("scale",) if self.dtype == "int8" else ()
        return ("embedding", *scale, "norm", "pixels", *(("picture",) if unit.view == 0 else ()))

    def files_of(self, unit: Unit) -> list[str]:
        """The shard files a unit writes, relative to the cache."""
        arrays = self.arrays
        return [arrays[name].file(unit.view, unit.shard) for name in self.unit_arrays(unit)]

    def rows_of(self, array: Array, shard: int) -> int:
        """Rows a shard of an array holds; only the last one has fewer than shard_rows."""
        return min(self.shard_rows, array.rows - shard * self.shard_rows)

    def shard_files(self, name: str) -> list[str]:
        """All shard files of an array, view by view, relative to the cache."""
        array = self.arrays[name]
        shards = -(-array.rows // self.shard_rows)
        return [array.file(view, shard) for view in range(array.views or 1) for shard in range(shards)]

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all shard files of a finished store."""
        return sum(
            (array.views or 1) * shard_bytes(array.rows, array.row_bytes, self.shard_rows, self.chunk_rows)
            for array in self.arrays.values()
        )
