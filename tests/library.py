"""What the page and the examples for users of the library begin with: faces, a cache of them, a student, pairs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cache.build import build
from common.backbones import backbone_size, build_backbone
from common.faces import open_source, write_bin
from common.models import UNIT_RGB, Preset, first_known, save_weights
from tests.tiny import DIM, TinyTeacher, enter, experiment, jpegs, write_faces

BACKBONE = "mobilefacenet_0.25"


@pytest.fixture(scope="session")
def library_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `finished` copies."""
    folder = tmp_path_factory.mktemp("library")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        write_faces(Path("data/faces"))
        build(experiment(cache={"path": "caches/lfw"}), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
        torch.manual_seed(0)
        contract = first_known(Preset(BACKBONE, DIM, backbone_size(BACKBONE)), UNIT_RGB)
        Path("runs/lfw").mkdir(parents=True)
        save_weights(build_backbone(BACKBONE, DIM), "runs/lfw/student.safetensors", contract.to_metadata())
        people = jpegs(10, 4)
        # Each in turn with oneself and with the next person, so that every fold has pairs of both kinds.
        pairs = [(own[0], own[1], own[2], other[3]) for own, other in zip(people, people[1:] + people[:1], strict=True)]
        write_bin("data/lfw.bin", [picture for four in pairs for picture in four], np.arange(20) % 2 == 0)
    return folder


@pytest.fixture
def finished(library_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with data/faces, data/lfw.bin, caches/lfw and runs/lfw/student.safetensors; returns it."""
    shutil.copytree(library_world, tmp_path, dirs_exist_ok=True)
    enter(tmp_path, monkeypatch)
    return tmp_path
