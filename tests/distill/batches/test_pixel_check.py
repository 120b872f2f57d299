"""Pixels of the run against those the teacher saw."""

import numpy as np
import pytest

from cache.reader import TeacherCache
from common.errors import CacheError
from common.faces.sources import open_source
from common.faces.views import Views, pixel_digest
from distill.batches.face_batches import FaceBatches
from distill.batches.pixels import check_pixels, checked_rows
from tests.distill.small_runs import run


def test_about_one_percent_of_all_faces_and_at_least_one_of_a_batch_are_checked():
    order = np.random.default_rng(0).permutation(60_000).reshape(-1, 60)
    assert min(len(checked_rows("sample", samples, 0)) for samples in order) == 1
    large = order.reshape(-1, 2000)
    assert sum(len(checked_rows("sample", samples, 0)) for samples in large) / 60_000 == pytest.approx(0.01, rel=0.1)
    assert checked_rows("off", order[0], 0).tolist() == []
    assert checked_rows("all", order[0], 0).tolist() == list(range(60))


def test_each_epoch_checks_other_faces_and_always_the_same_ones():
    samples = np.arange(100)
    seen = {int(row) for epoch in range(30) for row in checked_rows("sample", samples, epoch)}
    assert len(seen) > 15
    assert np.array_equal(checked_rows("sample", samples, 3), checked_rows("sample", samples, 3))


def test_a_changed_pixel_is_named_with_both_digests(cached):
    cache, source, views = TeacherCache("caches/tiny"), open_source("data/faces"), Views("flip")
    samples, shown = np.array([3, 8]), np.array([0, 1])
    faces = [views.render(source.rgb(i), i, v).copy() for i, v in zip(samples, shown, strict=True)]
    check_pixels(cache, samples, shown, 0, faces, "all")
    expected = pixel_digest(faces[1])
    faces[1][50, 50, 1] ^= 1
    digests = f"has pixels {pixel_digest(faces[1]):08x}, the teacher saw {expected:08x}"
    with pytest.raises(CacheError, match=f"view 1 of sample 8 {digests}"):
        check_pixels(cache, samples, shown, 0, faces, "all")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_stops_at_a_face_that_changed(cached, monkeypatch, workers):
    """As when the file changes under a run: the fingerprint that was compared at the start still fits."""
    render = Views.render

    def other(self, rgb, sample, view, out=None):
        return 255 - rgb if sample == 8 else render(self, rgb, sample, view)

    monkeypatch.setattr(Views, "render", other)
    run("off", train={"epochs": 1, "verify": "off"})
    with pytest.raises(CacheError, match=r"^caches/tiny: view \d of sample 8 has pixels [0-9a-f]{8}, the") as error:
        run("all", train={"epochs": 1, "verify": "all", "workers": workers})
    assert "\n" not in str(error.value)


def test_faces_are_checked_at_their_stored_size_for_students_of_another(cached):
    cache, source = TeacherCache("caches/tiny"), open_source("data/faces")
    batch = FaceBatches(source, Views("flip"), cache, False, (112, 96), "all")[np.array([1, 2]), np.array([0, 1]), 0]
    assert batch.faces.shape == (2, 112, 96, 3)
