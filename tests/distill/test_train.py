"""Stage two: the same weights whatever interrupts it, however many workers make its batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from common.config import ModelConfig, ViewsConfig
from common.config.file import load_config
from common.errors import CacheError, ConfigError, UserError
from common.faces.sources import open_source
from common.faces.views import Views
from common.models.face_model import open_model
from distill.batches.epochs import epoch_batches, samples_in_order
from distill.batches.face_batches import FaceBatches
from distill.run import checkpoints
from distill.run.parts import open_cache
from tests.distill.small_runs import curves, equal, run
from tests.tiny import TinyTeacher, experiment


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_global_batches_do_not_depend_on_the_number_of_ranks(ranks):
    views, order = ViewsConfig(), samples_in_order(np.arange(103), 3, 5)
    whole = list(epoch_batches(order, views, seed=5, epoch=3, batch=12, rank=0, ranks=1))
    parts = [list(epoch_batches(order, views, 5, 3, 12 // ranks, r, ranks)) for r in range(ranks)]
    assert len(whole) == 8
    for step, (samples, shown, _) in enumerate(whole):
        assert np.array_equal(np.concatenate([parts[r][step][0] for r in range(ranks)]), samples)
        assert np.array_equal(np.concatenate([parts[r][step][1] for r in range(ranks)]), shown)


def test_a_batch_carries_the_faces_and_the_teachers_word_on_them(cached):
    from cache.reader import TeacherCache

    cache, source = TeacherCache("caches/tiny"), open_source("data/faces")
    samples, views = np.array([4, 30, 11]), np.array([1, 0, 1])
    batch = FaceBatches(source, Views("flip"), cache, True, (112, 112))[samples, views, 0]
    for i, (sample, view) in enumerate(zip(samples, views, strict=True)):
        face = source.rgb(sample)[:, ::-1] if view else source.rgb(sample)
        assert np.array_equal(batch.faces[i], face)
        assert batch.labels[i] == source.label(sample)
        raw = TinyTeacher().embed(np.ascontiguousarray(face)[None])[0]
        np.testing.assert_allclose(batch.f_t[i], raw / np.linalg.norm(raw), atol=1e-3)


def test_workers_change_nothing(cached):
    assert equal(run("none", train={"workers": 0}), run("two", train={"workers": 2}))
    assert curves("none") == curves("two")


def test_the_student_learns_the_teachers_space(cached):
    run("learns", train={"epochs": 6})
    cos = [line["cos_st"] for line in curves("learns")]
    assert cos[-1] > cos[0] + 0.2


def test_the_exported_student_opens_without_further_options(cached):
    run("exported")
    model = open_model(ModelConfig(weights="runs/exported/student.safetensors"), Path("."))
    faces = np.stack([open_source("data/faces").rgb(i) for i in range(3)])
    assert model.embed(faces).shape == (3, 16)
    assert model.describe()["channel_order"] == "rgb"


def test_learned_centres_need_no_cache_and_no_teacher(world):
    head = {"margin": "arcface", "centers": "learned"}
    weights = run("alone", teacher=None, head=head)
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert "lam" not in curves("alone")[0]


def test_frozen_centres_are_those_of_the_cache(cached):
    run("frozen", head={"margin": "cosface", "centers": "frozen"})
    from cache.reader import TeacherCache

    state = checkpoints.latest(Path("runs/frozen/checkpoints"))
    assert torch.equal(state["head"]["centers.weight"], torch.from_numpy(TeacherCache("caches/tiny").centers))


def test_a_run_folder_of_another_configuration_is_refused(cached):
    run("once")
    with pytest.raises(ConfigError, match=r"train\.lr was 0\.05, is 0\.01"):
        run("once", train={"lr": 0.01})


def test_what_may_change_within_a_run_is_written_down(cached):
    run("once", train={"epochs": 1, "log_every": 2})
    run("once", train={"epochs": 1, "log_every": 3})
    assert load_config("runs/once/config.toml").train.log_every == 3


def test_a_cache_of_another_policy_is_refused_before_the_first_step(cached):
    with pytest.raises(CacheError, match=r"views\.policy is 'flip' in the cache and 'none' now"):
        run("other", views={"policy": "none"})
    assert not Path("runs/other").exists()


def test_a_student_of_another_width_is_refused(cached):
    with pytest.raises(ConfigError, match="set it to 16"):
        run("wide", student={"embedding_size": 32})


def test_a_cached_confidence_of_another_kind_is_refused(cached):
    with pytest.raises(ConfigError, match="'leave_one_out', but caches/tiny keeps 'center'"):
        open_cache(
            experiment(head={"geometry": "cached"}, cache={"confidence": "leave_one_out"}),
            Path("data"),
            open_source("data/faces"),
            Views("flip"),
        )


def test_a_loss_that_is_not_finite_names_step_and_samples(cached):
    with pytest.raises(UserError, match=r"loss of step \d+ is (nan|inf).*Samples of the batch: \["):
        run("broken", train={"lr": 1e30, "schedule": "step", "warmup_epochs": 0, "gradient_norm": 1e30})
