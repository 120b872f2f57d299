"""Shared fixtures: reference numbers, and the optional data root with real faces."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Before anything computes: tests share the machine, and a process forked beside another's OpenMP threads, or OpenCV's,
# may hang.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import torch

torch.set_num_threads(1)
cv2.setNumThreads(1)

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the reference numbers that are part of this repository."""
    return GOLDEN


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The user's data root (`DATA`, else data/); tests marked `real` look there and skip when a file is not there."""
    return Path(os.environ.get("DATA", "data")).resolve()


@pytest.fixture(scope="session")
def real_file(data_root: Path):
    """Callable: path of a file below the data root, or a skip that names the path looked for."""

    def find(relative: str) -> Path:
        path = data_root / relative
        if not path.exists():
            pytest.skip(f"{relative} is not under the data root {data_root} (set DATA=)")
        return path

    return find


pytest_plugins = [
    "tests.tiny",
    "tests.library",
    "tests.common.models.hub_server",
    "tests.common.models.hub_repositories",
    "tests.export.finished_run",
]
