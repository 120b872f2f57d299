"""Every backbone at the size it sees; a step of representative ones, from both kinds of face source."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.backbones import backbone_names, backbone_size, build_backbone
from common.config import TrainConfig
from common.faces.pixels import encode_jpeg
from common.faces.sources import open_source
from common.faces.views import Views
from distill.batches.face_batches import FaceBatches
from distill.head.head import build_head
from distill.step import Trainer
from tests.distill.small_runs import CPU
from tests.tiny import portrait, write_faces

WIDTH = {"mobilefacenet_gnap": 512}


@pytest.mark.parametrize("name", backbone_names())
def test_every_backbone_takes_faces_of_its_size(name):
    with torch.device("meta"):
        network = build_backbone(name, WIDTH.get(name, 16))
        embedded = network(torch.empty(2, 3, *backbone_size(name)))
    assert embedded.shape == (2, WIDTH.get(name, 16))


def write_folder(folder: Path) -> None:
    """The faces of `write_faces` as a folder of identities, three people of two photos."""
    for person in range(3):
        (folder / f"p{person}").mkdir(parents=True)
        for photo in range(2):
            (folder / f"p{person}" / f"{photo}.jpg").write_bytes(encode_jpeg(portrait(person, photo)))


@pytest.mark.parametrize("name", ["mobilefacenet_0.25", "sphere20", "iresnet18_se"])
@pytest.mark.parametrize("write", [lambda folder: write_faces(folder, 3, 2), write_folder], ids=["recordio", "folder"])
def test_a_student_of_any_size_learns_from_any_source(tmp_path, name, write):
    """Two steps on one batch: the second finds a smaller loss."""
    write(tmp_path / "faces")
    source = open_source(tmp_path / "faces")
    faces = FaceBatches(source, Views("flip"), None, False, backbone_size(name))
    batch = faces[np.arange(4), np.array([0, 1, 0, 1]), 0]
    assert batch.faces.shape == (4, *backbone_size(name), 3)
    torch.manual_seed(0)
    head = build_head({"margin": "cosface", "centers": "frozen"}, source.num_classes, 16)
    train = TrainConfig(batch_size=4, lr=1e-4, lr_batch=0, warmup_epochs=0)
    trainer = Trainer(build_backbone(name, 16), head, train, CPU, 1)
    first, second = (float(trainer.step(batch, step, 10)["loss"]) for step in range(2))
    assert second < first
