"""Mixtures of two faces: exact pixels, who is mixed in, and the same ones in both stages."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cache.audit.audit import audit
from cache.build import build
from cache.reader import TeacherCache
from cache.replay import replay
from cache.several import open_caches
from common.config import TermsConfig, ViewsConfig
from common.errors import ConfigError, DataError, UserError
from common.faces.philox import four_words
from common.faces.sources import open_source
from common.faces.views import Views
from common.faces.views.mixface import STREAM_MIXFACE, mixface, partner_of
from distill.batches.face_batches import FaceBatches
from distill.train import train
from tests.common.faces.views.reference import picture
from tests.tiny import TinyTeacher, experiment

CONFIG = ViewsConfig(policy="mixface", seed=5)


@pytest.mark.parametrize("ends", [(0.5, 1.0), (0.0, 1.0), (0.3, 0.3)])
def test_a_mixture_rounds_as_exact_fractions_do(ends):
    face, other = picture(9, 11), 255 - picture(9, 11)[::-1]
    config = ViewsConfig(policy="mixface", mixface_weight=ends)
    for sample in range(20):
        word = four_words(0, STREAM_MIXFACE, sample, 3)[1]
        weight = Fraction(round((ends[0] + (ends[1] - ends[0]) * word / 2**32) * 65_536), 65_536)
        exact = [
            (weight * a + (1 - weight) * b + Fraction(1, 2)).__floor__()
            for a, b in zip(face.ravel().tolist(), other.ravel().tolist(), strict=True)
        ]
        assert mixface(face, other, config, sample, 3).ravel().tolist() == exact


def test_the_weight_is_uniform_and_the_view_alone_decides_it():
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    values = np.array(
        [mixface(white, black, CONFIG, sample, view)[0, 0, 0] for sample in range(500) for view in (0, 7)]
    )
    assert values.min() in (127, 128, 129)
    assert values.max() >= 254
    assert abs(values.mean() - 191) < 4 * 127 / (12 * 1000) ** 0.5


def test_partners_are_all_the_others_equally_often():
    drawn = np.array([[partner_of(CONFIG, sample, view, 11) for view in range(2000)] for sample in (0, 4, 10)])
    for sample, partners in zip((0, 4, 10), drawn, strict=True):
        counts = np.bincount(partners, minlength=11)
        assert counts[sample] == 0
        assert abs(np.delete(counts, sample) - 200).max() < 5 * 200**0.5
    assert 0.05 < (drawn[0] == drawn[1]).mean() < 0.15
    assert partner_of(CONFIG, 2**33, 5, 2**32) < 2**32
    with pytest.raises(DataError, match="a single face"):
        partner_of(CONFIG, 0, 0, 1)


def test_other_policies_have_no_partner_and_a_mirrored_view_mirrors_the_face_alone():
    assert Views("flip+randaugment").partner(3, 1, 50) is None
    face, other = picture(20, 30), 255 - picture(20, 30)
    plain, mirrored = (Views(policy, 5, 4) for policy in ("mixface", "flip+mixface"))
    kept = other.copy()
    for view in range(4):
        turned = np.ascontiguousarray(face[:, ::-1]) if view % 2 else face
        assert plain.partner(6, view, 9) == mirrored.partner(6, view, 9)
        expected = plain.render(turned, 6, view, other=other)
        assert np.array_equal(mirrored.render(face, 6, view, other=other), expected)
        place = face.copy()
        assert np.array_equal(mirrored.render(place, 6, view, place, other), expected)
    assert np.array_equal(other, kept)


def test_faces_of_two_sizes_are_refused():
    with pytest.raises(DataError, match=r"mixes 4x5 with 5x4 pixels: set faces\.fit"):
        mixface(picture(4, 5), picture(5, 4), CONFIG, 0, 0)


@pytest.fixture
def mixed(world):
    config = experiment(views={"policy": "flip+mixface", "seed": 4, "count": 3}, cache={"workers": 2})
    build(config, open_source("data/faces"), TinyTeacher(), threads=1, quiet=True)
    return config


def test_the_student_sees_the_mixtures_that_the_teacher_saw(mixed):
    source, cache = open_source("data/faces"), TeacherCache(mixed.cache_dir)
    assert replay(cache, source, TinyTeacher(), 60).faults() == []
    batches = FaceBatches(source, Views.of(mixed.views), open_caches(mixed), False, (112, 112), "all")
    samples, views = np.repeat(np.arange(len(source)), 3), np.tile(np.arange(3), len(source))
    batch = batches[samples, views, 0]
    fresh = TinyTeacher().embed(batch.faces.numpy())
    cosines = (fresh * batch.f_t.numpy()).sum(1) / np.linalg.norm(fresh, axis=1)
    assert cosines.min() > 0.999


def test_another_partner_is_not_what_the_teacher_saw(mixed, monkeypatch):
    render = Views.partner
    monkeypatch.setattr(Views, "partner", lambda self, *position: (render(self, *position) + 1) % position[2])
    faults = replay(TeacherCache(mixed.cache_dir), open_source("data/faces"), TinyTeacher(), 60).faults()
    assert any("views changed" in fault for fault in faults)


def test_an_audit_of_labels_refuses_mixtures(mixed):
    with pytest.raises(UserError, match=r"mixtures of two faces \(flip\+mixface\), which say nothing about labels"):
        audit(TeacherCache(mixed.cache_dir))


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"match": "cosine"},
        {"match": "cosine", "margin_weight": 0.0, "relation": "ekd"},
        {"logits": "kd", "margin_weight": 0.0},
    ],
)
def test_losses_that_read_labels_refuse_mixtures(mixed, terms):
    config = mixed.model_copy(update={"terms": TermsConfig(**terms)})
    with pytest.raises(ConfigError, match="a mixture of two faces has no label"):
        train(config, Path("data"), torch.device("cpu"), 1)


def test_terms_without_labels_are_taught_by_mixtures(mixed):
    """The distance to the teacher's word on the same mixtures shrinks."""
    terms = TermsConfig(margin_weight=0.0, match="cosine", relation="rkd")
    train(mixed.model_copy(update={"terms": terms}), Path("data"), torch.device("cpu"), 1)
    lines = [json.loads(line) for line in (mixed.run_dir / "metrics.jsonl").read_text().splitlines()]
    apart = [line["match"] for line in lines if "match" in line]
    assert apart[-1] < 0.9 * apart[0]


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"faces": {"subset": "caches/some"}}, "mixes in any of all faces: remove faces.subset"),
        ({"cache": {"on_bad_image": "skip"}}, "needs every face: set cache.on_bad_image = 'fail'"),
    ],
)
def test_where_not_every_face_is_there_mixtures_are_refused(sections, match):
    with pytest.raises((ValidationError, ConfigError), match=match):
        experiment(views={"policy": "mixface"}, **sections)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"policy": "mixface", "mixface_weight": (0.9, 0.2)}, r"mixface_weight is \(least, greatest\)"),
        ({"policy": "mixface", "mixface_weight": (1.0, 1.0)}, "mixes nothing in"),
        ({"policy": "flip", "mixface_weight": (0.2, 0.4)}, "mixface_weight has no effect"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, match):
    with pytest.raises(ConfigError, match=match):
        Views(**options)
