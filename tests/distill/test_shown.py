"""What a student is shown: which views in which epoch, by which seeds, and in the scale that its export promises."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.config import ModelConfig
from common.faces.epochs import epoch_order
from common.faces.sources import open_source
from common.faces.views import view_numbers
from common.models.face_model import open_model
from distill.head import TeacherSpace
from distill.run.parts import new_trainer
from distill.run.students import export
from distill.step import Trainer
from tests.distill.small_runs import CPU, run
from tests.tiny import DIM, experiment

ALONE = {"margin": "cosface", "centers": "learned"}
EPOCHS, STEPS, BATCH = 3, 4, 8


def shown_by(patch: pytest.MonkeyPatch, name: str, views_seed: int, train_seed: int, workers: int = 0) -> list:
    """(samples, views, faces) of every step of a run."""
    batches = []
    step = Trainer.step

    def noting(self, batch, at, steps):
        batches.append((batch.samples.numpy().copy(), batch.views.numpy().copy(), batch.faces.numpy().copy()))
        return step(self, batch, at, steps)

    with patch.context() as inner:
        inner.setattr(Trainer, "step", noting)
        train = {"epochs": EPOCHS, "seed": train_seed, "workers": workers}
        run(name, teacher=None, head=ALONE, views={"seed": views_seed}, train=train)
    return batches


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_shows_the_views_that_its_two_seeds_choose_anew_in_every_epoch(world, monkeypatch, workers):
    batches = shown_by(monkeypatch, "shown", 3, 5, workers)
    assert len(batches) == EPOCHS * STEPS
    source = open_source("data/faces")
    for at, (samples, views, faces) in enumerate(batches):
        epoch, step = divmod(at, STEPS)
        assert np.array_equal(samples, epoch_order(35, epoch, 5)[step * BATCH : (step + 1) * BATCH])
        assert np.array_equal(views, view_numbers(samples, epoch, views_seed=3, train_seed=5, count=2))
        for sample, view, face in zip(samples, views, faces, strict=True):
            stored = source.rgb(int(sample))
            assert np.array_equal(face, stored[:, ::-1] if view else stored)


def test_epochs_and_seeds_show_samples_in_other_views(world, monkeypatch):
    def by_sample(batches: list) -> list[dict[int, int]]:
        epochs = [batches[epoch * STEPS : (epoch + 1) * STEPS] for epoch in range(EPOCHS)]
        return [
            {int(sample): int(view) for samples, views, _ in epoch for sample, view in zip(samples, views, strict=True)}
            for epoch in epochs
        ]

    first, of_training, of_views = (
        by_sample(shown_by(monkeypatch, name, *seeds))
        for name, seeds in {"a": (0, 0), "b": (0, 1), "c": (1, 0)}.items()
    )
    for other in (first[1], first[2], of_training[0], of_views[0]):
        both = first[0].keys() & other.keys()
        agreement = np.mean([first[0][sample] == other[sample] for sample in both])
        assert 0.2 < agreement < 0.8  # 30 fair coins: 0.5 with a standard deviation of 0.09


def test_an_exported_student_scales_pixels_as_the_training_did(world):
    config = experiment(teacher=None, head=ALONE)
    trainer = new_trainer(config, open_source("data/faces"), TeacherSpace(DIM), CPU)
    export(config, trainer, "student.safetensors", step=1)
    model = open_model(ModelConfig(weights="runs/tiny/student.safetensors"), Path("."))
    # The networks' inputs, for a fresh network is homogeneous: any scale would give the same direction.
    seen = []
    model.network.module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    faces = np.stack([open_source("data/faces").rgb(i) for i in range(3)])
    model.embed(faces)
    torch.testing.assert_close(trainer._to_input(torch.from_numpy(faces)), seen[0], rtol=0, atol=1e-6)
    assert float(seen[0].amin()) >= -1
    assert float(seen[0].amax()) <= 1
