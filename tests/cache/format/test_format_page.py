"""The examples in docs/cache-format.md read a cache with zarr alone, and with the standard library alone."""

import json
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from cache.build import build
from cache.reader import TeacherCache
from common.faces.recordio_dataset import write_recordio_dataset
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment, jpegs

PAGE = (Path(__file__).parents[3] / "docs" / "cache-format.md").read_text()
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])


def example(first_line: str) -> str:
    """The indented block of the page that begins with a line."""
    block = re.match(r"((?:    .*\n|\n)+)", PAGE[PAGE.index(f"    {first_line}\n") :])
    assert block
    return textwrap.dedent(block[1])


def cache_of(dtype: str, world: Path, **cache) -> TeacherCache:
    people = jpegs(7, 5)
    people[1][1] = b"no picture"
    write_recordio_dataset(world / "data" / "faces", people)
    config = experiment(cache={"dtype": dtype, "on_bad_image": "skip", **cache})
    return TeacherCache(build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True))


@DTYPES
@pytest.mark.parametrize("confidence", ["center", "leave_one_out"])
def test_the_zarr_example_runs_and_finds_the_least_certain_face(world, capsys, dtype, confidence):
    cache = cache_of(dtype, world, confidence=confidence)
    code = example("import numpy as np").replace("caches/demo-seed0", str(cache.path))
    assert "zarr.open_group" in code
    exec(code, {})
    said = capsys.readouterr().out
    assert "tiny.onnx 35 faces" in said
    least = np.nanargmin(cache.confidence(np.arange(35), 0))
    assert f"least sure of face {least} and without 1 pictures" in said


@DTYPES
def test_the_example_without_zarr_reads_every_row(world, dtype):
    cache = cache_of(dtype, world)
    names: dict = {}
    exec(example("import json"), names)
    for view in range(2):
        for sample in range(35):
            row = np.array(names["embedding"](cache.path, sample, view), np.float32)
            np.testing.assert_allclose(row, cache.gather(np.array([sample]), view)[0], rtol=1e-6)


@DTYPES
def test_the_bytes_of_a_face_in_the_table_are_those_of_the_store(dtype):
    from cache.format.layout import Layout

    layout = Layout(1, 0, 512, 0, dtype, 16384, 1024)
    row = sum((a.width or 1) * np.dtype(a.dtype).itemsize for a in layout.arrays.values() if a.views)
    assert re.search(rf"\| {dtype} \|[^|]*\|[^|]*\| {row:,} \|", PAGE)


def test_every_array_and_manifest_field_is_on_the_page(world):
    cache = cache_of("int8", world)
    for name in cache.layout.arrays:
        assert f"| `{name}` |" in PAGE
    for name in cache.manifest:
        assert f"| `{name}` |" in PAGE
    ledger = json.loads((cache.path / "ledger" / "zarr.json").read_text())["attributes"]
    for name in (*ledger, *ledger["runtimes"][0], *cache.manifest["faces"], *cache.manifest["teacher"]):
        assert f"`{name}`" in PAGE, name
    for table in ("layout", "sealed"):
        for name in cache.manifest[table]:
            assert f"`{name}`" in PAGE, name
