"""The undamaged world, made once."""

from pathlib import Path

import pytest

from tests.faults.world import contents, make_world


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "world"
    make_world(folder)
    return folder


@pytest.fixture(scope="session")
def undamaged(template) -> dict[str, str]:
    return contents(template)
