"""Shared fixtures: reference numbers, and the optional data root with real faces."""

import os
from collections.abc import Iterator
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


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Every test begins with one thread: commands that tests run in this process may have given torch all cores, and
    what is forked then has none of these threads, waits for them or crashes."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_power_cut() -> Iterator[None]:
    """Whoever asks for a file to be on the disk is not kept waiting: no test cuts the power, and a wait is a few
    milliseconds, hundreds of times a test. That it is asked for is held where the calls are counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which refuses a handle that is none
        yield


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


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts are empty files: drawing those of a report takes longer than the report, and they are not looked at."""
    for module in ("common.figures", "distill.run.curves_picture"):
        monkeypatch.setattr(f"{module}.save_png", lambda figure, png, dpi: png.touch())


pytest_plugins = [
    "tests.tiny",
    "tests.library",
    "tests.common.models.hub_server",
    "tests.common.models.hub_repositories",
    "tests.export.finished_run",
    "tests.faults.world",
]
