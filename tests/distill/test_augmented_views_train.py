"""Stage two on views of the AdaFace recipe: the pixels of stage one, or none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cache.build import build
from cache.reader import TeacherCache
from common.errors import CacheError
from common.faces.sources import open_source
from common.faces.views import Views, pixel_digest
from distill.batches.face_batches import FaceBatches
from distill.train import train
from tests.tiny import TinyTeacher, experiment

VIEWS = {"policy": "flip+adaface", "seed": 9, "count": 3, "crop_probability": 0.7, "low_resolution_probability": 0.7}


@pytest.fixture
def cached(world) -> Path:
    return build(experiment(views=VIEWS), open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)


def test_the_student_sees_the_pixels_the_teacher_saw(cached):
    """Stage one's digests against what a batch holds, in another order than the teacher's."""
    cache, source = TeacherCache(cached), open_source("data/faces")
    samples, shown = (pairs.ravel() for pairs in np.meshgrid(np.arange(len(cache))[::-1], np.arange(cache.views)))
    batch = FaceBatches(source, Views.of(experiment(views=VIEWS).views), cache, False, (112, 112))[samples, shown, 0]
    digests = [pixel_digest(face) for face in batch.faces.numpy()]
    assert np.array_equal(digests, cache.pixels(samples, shown))
    assert len(set(digests)) > 2 * len(cache)
    fresh = TinyTeacher().embed(batch.faces.numpy())
    np.testing.assert_allclose(batch.f_t, fresh / np.linalg.norm(fresh, axis=1, keepdims=True), atol=1e-3)


def test_a_cache_of_other_options_is_refused(cached):
    own = {**VIEWS, "saturation": 0.1}
    config = experiment(name="other", cache={"path": "caches/tiny"}, views=own)
    with pytest.raises(CacheError, match=r"views\.saturation is 0\.5 in the cache and 0\.1 now"):
        train(config, Path("data"), torch.device("cpu"), 1)
    assert not Path("runs/other").exists()
