"""A cache to be given away, and places it travels through."""

from pathlib import Path

import fsspec
import pytest

from cache.build import build
from cache.share.remote import Folder, open_remote
from cache.share.share import push
from common.faces.sources import open_source
from tests.tiny import TinyTeacher, experiment


@pytest.fixture
def path(world) -> Path:
    return build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


@pytest.fixture(params=["file", "memory"])
def remote(request, world) -> Folder:
    if request.param == "file":
        return open_remote(f"file://{world}/shared/tiny")
    fsspec.filesystem("memory").store.clear()
    return open_remote("memory://shared/tiny")


@pytest.fixture
def shared(path, world) -> tuple[Folder, Path]:
    """A pushed cache, and the folder it lies in."""
    remote = open_remote(f"file://{world}/shared")
    push(path, remote, "unknown", "unknown")
    return remote, world / "shared"
