"""A world whose teacher cache is built."""

import pickle
import shutil
from pathlib import Path

import pytest

from cache.build import build
from common.faces.sources import open_source
from distill.step import Trainer
from tests.distill.small_runs import curves, final_state, run
from tests.tiny import TinyTeacher, enter, experiment, jpegs, write_faces

EVERY_LINE = {"epochs": 2, "checkpoint_minutes": 0, "log_every": 1, "ema": 0.9}
SETS = {"sets": {"pairs": "pairs.bin"}, "batch_size": 8}


@pytest.fixture(scope="session")
def cached_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cached` copies."""
    folder = tmp_path_factory.mktemp("cached")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        write_faces(Path("data/faces"))
        build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    return folder


@pytest.fixture
def cached(cached_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny world with its cache in `caches/tiny`; returns the working directory."""
    shutil.copytree(cached_world, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def stop_at(monkeypatch):
    """Callable: the next run is interrupted before it takes this step, counted from 0."""
    step = Trainer.step

    def stop_at(number: int, name: str, **sections) -> None:
        def stopping(self, batch, at, steps):
            if at == number:
                raise KeyboardInterrupt
            return step(self, batch, at, steps)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", stopping)
            with pytest.raises(KeyboardInterrupt):
                run(name, **sections)

    return stop_at


@pytest.fixture(scope="session")
def undisturbed(cached_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict]]:
    """Final state and curves of a run that nothing interrupts."""
    folder = shutil.copytree(cached_world, tmp_path_factory.mktemp("undisturbed"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run("whole", train=EVERY_LINE)
        return final_state("whole"), curves("whole")


@pytest.fixture
def paired(cached: Path, blank_pictures: None) -> Path:
    """The world with a set of 20 pairs of people not trained on."""
    photos = jpegs(10, 3, first=40)
    same = [picture for person in photos for picture in person[:2]]
    different = [picture for p in range(10) for picture in (photos[p][2], photos[(p + 1) % 10][0])]
    pictures = [one for i in range(10) for one in (*same[2 * i : 2 * i + 2], *different[2 * i : 2 * i + 2])]
    Path("data/pairs.bin").write_bytes(pickle.dumps((pictures, [i % 2 == 0 for i in range(20)])))
    return cached
