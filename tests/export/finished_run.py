"""A finished run as its files are: trained for four steps, evaluated, with whatever names a test gives."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from cache.build import build
from common.config import MeasureConfig
from common.faces import open_source
from common.files import sha256_of
from distill.train import train
from evaluate.models import open_weights
from evaluate.run import evaluate_models
from tests.tiny import TinyTeacher, enter, experiment

RUN = Path("runs/tiny")


@pytest.fixture(scope="session")
def trained_world(library_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `trained_run` copies."""
    folder = shutil.copytree(library_world, tmp_path_factory.mktemp("trained"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        config = experiment(evaluate={"sets": {"lfw": "lfw.bin"}})
        build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
        weights = train(config, Path("data"), torch.device("cpu"), threads=1)
        student = open_weights(str(weights), Path("data"), "cpu", 1, MeasureConfig())
        evaluate_models({"tiny": student}, {"lfw": Path("data/lfw.bin")}, RUN / "evaluation", quiet=True)
        row = {"far": 0.1, "threshold": 0.25, "low": 0.2, "high": 0.3, "tar": 0.75}
        known = {"model": {"weights_sha256": sha256_of(weights)}, "set": "lfw", "impostors": 10, "protocol": "flip-sum"}
        known |= {"set_sha256": "0" * 64, "resampled": "pairs", "resamples": 1000}
        Path(f"{weights}.thresholds.json").write_text(json.dumps(known | {"rows": [row]}))
    return folder


@pytest.fixture
def trained_run(trained_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/tiny in a working directory of its own: student, summary, sources, report, thresholds."""
    shutil.copytree(trained_world, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return RUN
