"""Our shard files are the bytes that Zarr writes, and Zarr reads them."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import Crc32cCodec

from cache.format.shards import parse_shard, shard_bytes, write_shard
from common.errors import CacheError


def array_of(folder, shape, dtype, chunk, shard, fill):
    rest = shape[1:]
    return zarr.create_array(
        folder, shape=shape, dtype=dtype, chunks=(chunk, *rest), shards=(shard, *rest), compressors=[Crc32cCodec()],
        fill_value=fill,
    )  # fmt: skip


def files_in(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_shard_is_byte_for_byte_zarrs_own(data, tmp_path_factory):
    chunk = data.draw(st.integers(1, 5), "chunk_rows")
    shard = chunk * data.draw(st.integers(1, 4), "chunks in a shard")
    total = data.draw(st.integers(1, 40), "rows")
    width = data.draw(st.sampled_from([None, 1, 3]), "width")
    dtype = data.draw(st.sampled_from(["float16", "float32", "uint32", "int32", "int8"]))
    fill = float("nan") if dtype.startswith("float") else 0
    shape = (total,) if width is None else (total, width)
    rows = np.random.default_rng(total).integers(1, 99, shape).astype(dtype)
    folder = tmp_path_factory.mktemp("shards")
    array_of(folder / "zarrs", shape, dtype, chunk, shard, fill)[:] = rows
    ours = array_of(folder / "ours", shape, dtype, chunk, shard, fill)
    for number, start in enumerate(range(0, total, shard)):
        file = folder / "ours" / "c" / str(number) / ("" if width is None else "0")
        write_shard(file, rows[start : start + shard], fill, shard, chunk)
    assert np.array_equal(ours[:], rows)
    theirs, own = files_in(folder / "zarrs/c"), files_in(folder / "ours/c")
    assert own == theirs
    row_bytes = (width or 1) * np.dtype(dtype).itemsize
    assert shard_bytes(total, row_bytes, shard, chunk) == sum(map(len, theirs.values()))


def test_chunks_of_nothing_but_fill_values_are_written_in_their_place(tmp_path):
    """Where Zarr's writer would leave them out, and move the chunks behind them."""
    rows = np.arange(12, dtype=np.float32)
    rows[3:6] = np.nan
    array = array_of(tmp_path, (12,), "float32", 3, 12, float("nan"))
    write_shard(tmp_path / "c" / "0", rows, float("nan"), 12, 3)
    assert np.array_equal(array[:], rows, equal_nan=True)
    data = (tmp_path / "c" / "0").read_bytes()
    assert len(data) == 4 * (3 * 4 + 4) + 4 * 16 + 4
    assert np.array_equal(np.frombuffer(data, "<f4", 3, offset=2 * 16), rows[6:9])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_shard_reads_as_it_was_written_and_any_changed_bit_is_refused(data, tmp_path_factory):
    chunk = data.draw(st.integers(1, 5), "chunk_rows")
    shard = chunk * data.draw(st.integers(1, 4), "chunks in a shard")
    rows = data.draw(st.integers(1, shard), "rows")
    width = data.draw(st.sampled_from([None, 1, 3]), "width")
    dtype = data.draw(st.sampled_from(["float16", "float32", "uint32", "int32", "int8"]))
    values = np.random.default_rng(rows).integers(1, 99, (rows,) if width is None else (rows, width)).astype(dtype)
    file = tmp_path_factory.mktemp("shard") / "0"
    write_shard(file, values, 0, shard, chunk)
    content = bytearray(file.read_bytes())
    read = parse_shard(bytes(content), file, dtype, width, rows, shard, chunk)
    assert (read.dtype, read.shape) == (values.dtype, values.shape)
    assert np.array_equal(read, values)
    content[data.draw(st.integers(0, len(content) - 1), "byte")] ^= 1 << data.draw(st.integers(0, 7), "bit")
    with pytest.raises(CacheError, match=f"{file}: "):
        parse_shard(bytes(content), file, dtype, width, rows, shard, chunk)
    with pytest.raises(CacheError, match=f"{file}: .* bytes, .* were written"):
        parse_shard(bytes(content[:-1]), file, dtype, width, rows, shard, chunk)
