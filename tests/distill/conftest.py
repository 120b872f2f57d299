"""A world whose teacher cache is built."""

from pathlib import Path

import pytest

from cache.build import build
from common.sources import open_source
from tests.tiny import TinyTeacher, experiment


@pytest.fixture
def cached(world: Path) -> Path:
    """The tiny world with its cache in `caches/tiny`; returns the working directory."""
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    return world
