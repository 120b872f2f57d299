"""teacher.precision = "auto": bfloat16 where the device has it and answers stay; a cache keeps what it began with."""

from pathlib import Path

import numpy as np
import pytest

from cache import teachers
from cache.build import build
from cache.reader import TeacherCache
from cache.teachers import as_cached, least_cosine, open_settled, open_teacher
from common.backbones import build_backbone
from common.config import Config, ModelConfig
from common.errors import CacheError
from common.faces.sources import open_source
from common.models import known_of, open_model
from common.models.weights import save_weights
from tests.common.backbones.golden_backbones import fill
from tests.common.models.test_models import onnx_file
from tests.tiny import experiment

DATA = Path("data")


@pytest.fixture
def own(world):
    """A world with a PyTorch teacher."""
    save_weights(fill(build_backbone("mobilefacenet_0.25", 16)), DATA / "own.safetensors", {"channel_order": "rgb"})
    return world


def with_teacher(precision: str, weights: str = "own.safetensors") -> Config:
    return experiment(
        teacher=ModelConfig(weights=weights, precision=precision), cache={"check_teacher": False, "shard_rows": 40}
    )


def settled(precision: str, weights: str = "own.safetensors") -> str:
    model = open_settled(with_teacher(precision, weights), DATA, open_source("data/faces"), "cpu", 1)
    return str(model.describe()["precision"])


@pytest.mark.parametrize(
    ("has", "least", "precision"),
    [(False, 0.9, "float32"), (True, 0.9, "bfloat16"), (True, 1.1, "float32")],
    ids=["a device without it", "answers that agree", "answers that do not"],
)
def test_bfloat16_is_taken_where_the_device_has_it_and_answers_agree(own, monkeypatch, capsys, has, least, precision):
    monkeypatch.setattr(teachers, "has_bfloat16", lambda device: has)
    monkeypatch.setattr(teachers, "LEAST_COSINE", least)
    assert settled("auto") == precision
    assert ("in bfloat16 its answers on 35 faces have a least cosine of 0.9" in capsys.readouterr().out) == (least > 1)
    for given in ("float32", "bfloat16"):
        assert settled(given) == given
    onnx_file(DATA / "graph.onnx")
    assert settled("auto", "graph.onnx") == "float32"


@pytest.mark.parametrize(
    ("cosine", "precision"),
    [(teachers.LEAST_COSINE, "bfloat16"), (np.nextafter(teachers.LEAST_COSINE, 0), "float32")],
)
def test_answers_that_just_agree_are_enough(own, monkeypatch, cosine, precision):
    monkeypatch.setattr(teachers, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(teachers, "least_cosine", lambda one, other, source: (cosine, len(source)))
    assert settled("auto") == precision


def test_the_least_cosine_is_that_of_every_face_looked_at(own, monkeypatch):
    one, other = (
        open_model(ModelConfig(weights="own.safetensors", precision=p), DATA) for p in ("float32", "bfloat16")
    )
    source = open_source("data/faces")
    cosines = []
    for sample in range(len(source)):
        a, b = (model.embed(source.rgb(sample)[None])[0].astype(np.float64) for model in (one, other))
        cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
    monkeypatch.setattr(teachers, "BATCH", 4)
    assert least_cosine(one, other, source) == (pytest.approx(min(cosines), abs=1e-6), 35)
    monkeypatch.setattr(teachers, "FACES", 2)  # the first and the last
    assert least_cosine(one, other, source) == (pytest.approx(min(cosines[0], cosines[-1]), abs=1e-6), 2)


def test_a_cache_keeps_the_precision_it_was_begun_with_and_students_take_it(own, monkeypatch):
    source, config = open_source("data/faces"), with_teacher("auto")
    monkeypatch.setattr(teachers, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(teachers, "LEAST_COSINE", 0.9)
    path = build(config, source, open_teacher(config, DATA, source, "cpu", 1), threads=1, quiet=True)
    cache = TeacherCache(path)
    assert cache.manifest["teacher"]["precision"] == "bfloat16"
    monkeypatch.setattr(teachers, "has_bfloat16", lambda device: False)
    assert as_cached(config).precision == "bfloat16"
    build(config, source, open_teacher(config, DATA, source, "cpu", 1), threads=1, quiet=True)
    cache.require_teacher(with_teacher("auto").teacher, DATA)
    cache.require_teacher(with_teacher("bfloat16").teacher, DATA)
    with pytest.raises(CacheError, match=r"teacher\.precision is 'bfloat16' in the cache and 'float32' now"):
        cache.require_teacher(with_teacher("float32").teacher, DATA)


def test_an_open_precision_is_no_part_of_what_is_known_of_a_teacher(own):
    for weights in ("own.safetensors", "owner/elsewhere"):
        known = known_of(ModelConfig(weights=weights, precision="auto"), DATA, {})
        assert "precision" not in known
        assert known == {
            field: value
            for field, value in known_of(ModelConfig(weights=weights, precision="bfloat16"), DATA, {}).items()
            if field != "precision"
        }
