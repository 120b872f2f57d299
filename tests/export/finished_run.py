"""A finished run as its files are: trained for four steps, evaluated, with whatever names a test gives."""

import json
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
from tests.tiny import TinyTeacher, experiment

RUN = Path("runs/tiny")


@pytest.fixture
def trained_run(finished: Path) -> Path:
    """runs/tiny in a working directory of its own: student, summary, sources, report, thresholds."""
    config = experiment(evaluate={"sets": {"lfw": "lfw.bin"}})
    build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    weights = train(config, Path("data"), torch.device("cpu"), threads=1)
    student = open_weights(str(weights), Path("data"), "cpu", 1, MeasureConfig())
    evaluate_models({"tiny": student}, {"lfw": Path("data/lfw.bin")}, RUN / "evaluation", quiet=True)
    row = {"far": 0.1, "threshold": 0.25, "low": 0.2, "high": 0.3, "tar": 0.75}
    known = {"model": {"weights_sha256": sha256_of(weights)}, "set": "lfw", "impostors": 10, "protocol": "flip-sum"}
    known |= {"set_sha256": "0" * 64, "resampled": "pairs", "resamples": 1000}
    Path(f"{weights}.thresholds.json").write_text(json.dumps(known | {"rows": [row]}))
    return RUN
