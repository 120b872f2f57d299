"""The example in docs/cache-format.md reads a cache with nothing but zarr."""

import re
import textwrap
from pathlib import Path

from cache.build import build
from common.sources import open_source
from tests.tiny import TinyTeacher, experiment

PAGE = Path(__file__).parents[2] / "docs" / "cache-format.md"


def test_the_pages_example_runs_and_finds_the_least_certain_face(world, capsys):
    path = build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    block = re.search(r"\n((?:    .*\n|\n)+)", PAGE.read_text()[PAGE.read_text().index("    import numpy") - 1 :])
    assert block
    code = textwrap.dedent(block[1]).replace("caches/demo-seed0", str(path))
    assert "zarr.open_group" in code
    exec(code, {})
    said = capsys.readouterr().out
    assert "tiny.onnx 35 faces" in said
    assert "least sure of face" in said
