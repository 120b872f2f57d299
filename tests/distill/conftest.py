"""A world whose teacher cache is built."""

import pickle
from pathlib import Path

import pytest

from cache.build import build
from common.faces.sources import open_source
from distill.step import Trainer
from tests.distill.small_runs import curves, final_state, run
from tests.tiny import TinyTeacher, experiment, jpegs, write_faces

EVERY_LINE = {"epochs": 2, "checkpoint_minutes": 0, "log_every": 1, "ema": 0.9}
SETS = {"sets": {"pairs": "pairs.bin"}, "batch_size": 8}


@pytest.fixture
def cached(world: Path) -> Path:
    """The tiny world with its cache in `caches/tiny`; returns the working directory."""
    build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    return world


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
def undisturbed(tmp_path_factory) -> tuple[dict, list[dict]]:
    """Final state and curves of a run that nothing interrupts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("undisturbed"))
        write_faces(Path("data/faces"))
        build(experiment(), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
        run("whole", train=EVERY_LINE)
        return final_state("whole"), curves("whole")


@pytest.fixture
def paired(cached: Path) -> Path:
    """The world with a set of 20 pairs of people not trained on."""
    photos = jpegs(10, 3, first=40)
    same = [picture for person in photos for picture in person[:2]]
    different = [picture for p in range(10) for picture in (photos[p][2], photos[(p + 1) % 10][0])]
    pictures = [one for i in range(10) for one in (*same[2 * i : 2 * i + 2], *different[2 * i : 2 * i + 2])]
    Path("data/pairs.bin").write_bytes(pickle.dumps((pictures, [i % 2 == 0 for i in range(20)])))
    return cached
