"""On a GPU the host never waits in a step: all of it, tried on the meta device (tests/distill/host_stops.py)."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from common.config import HeadConfig, TermsConfig, TrainConfig
from distill.batches import TrainingBatch
from distill.head import build_head, columns
from distill.projection import build_projection
from distill.run.guard import largest_weight
from distill.run.window import Window
from distill.step import Trainer
from distill.terms import build_terms
from tests.distill.host_stops import META, counted_stops, ranks_played

ROWS, CLASSES, DIM, RANKS = 6, 40, 8, 4
HEADS = [
    {"margin": "none", "centers": "frozen"},
    {"margin": "arcface", "centers": "learned"},
    {"margin": "cosface", "centers": "distilled"},
    {"margin": "adaface", "centers": "distilled", "geometry": "live"},
    {"margin": "adaface", "centers": "distilled", "geometry": "cached", "geometry_warmup": 2},
    {"margin": "adaface", "centers": "learned", "geometry": "cached"},
    {"margin": "arcface", "centers": "learned", "sample_rate": 0.5},
    {"margin": "adaface", "centers": "distilled", "geometry": "live", "sample_rate": 0.5},
]
STEPS: list[dict[str, Any]] = [{}, {"accumulate": 3, "ema": 0.9}]


@pytest.fixture
def stops(monkeypatch) -> Iterator[list[str]]:
    monkeypatch.setattr(columns, "chunk_width", lambda batch, device: 25)
    with counted_stops() as found:
        yield found


TERMS = [
    {"match": "cosine", "relation": "rkd", "logits": "kd"},
    {"match": "mse", "relation": "ekd", "logits": "gkd"},
]


def small_trainer(
    section: dict[str, Any], train: dict[str, Any], ranks: int, terms: dict[str, Any] | None = None
) -> Trainer:
    projection = build_projection(DIM - 2, DIM) if terms else None
    width = DIM - 2 if terms else DIM
    with META:
        student = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, width))
        head = build_head(section, CLASSES, DIM)
        told = TermsConfig.model_validate(terms or {})
        if terms:
            head.teach(told, torch.zeros(CLASSES, DIM))
    config = TrainConfig.model_validate({"batch_size": ROWS, **train})
    beside = build_terms(told, head.config.split_classes)
    trainer = Trainer(student, head, config, META, ranks, beside, projection)
    trainer.optimiser._need_device_dtype_check_for_fused = False  # type: ignore[attr-defined]
    return trainer


def small_batch(section: dict[str, Any], ranks: int, told: bool = False) -> TrainingBatch:
    head = HeadConfig.model_validate(section)
    rows, numbers = ROWS * ranks if head.split_classes else ROWS, torch.zeros(ROWS, dtype=torch.int64)
    return TrainingBatch(
        faces=torch.zeros(ROWS, 8, 8, 3, dtype=torch.uint8),
        labels=torch.zeros(rows, dtype=torch.int64),
        samples=numbers,
        views=numbers,
        f_t=torch.zeros(rows, DIM) if told or head.reads_teacher else None,
        confidence=torch.zeros(rows) if head.geometry == "cached" else None,
    )


def second_step(
    section: dict[str, Any],
    train: dict[str, Any],
    stops: list[str],
    ranks: int = 1,
    terms: dict[str, Any] | None = None,
) -> list[str]:
    """The copies of a run's second step, with its note in the window; raises where values are asked for."""
    window, trainer = Window(), small_trainer(section, train, ranks, terms)
    for step in range(2):
        stops.clear()
        batch = small_batch(section, ranks, terms is not None)
        scalars = trainer.step(batch, step, 10)
        window.add(batch, scalars)
    assert all(x.device == META for x in scalars.values())
    return stops


@pytest.mark.parametrize("section", HEADS, ids=lambda section: "-".join(map(str, section.values())))
@pytest.mark.parametrize("head", [{}, {"logits_mib": 0}])
def test_no_step_waits_for_its_device(section, head, stops):
    for train in STEPS:
        assert second_step(section | head, train, stops) == [], train


@pytest.mark.parametrize("section", HEADS, ids=lambda section: "-".join(map(str, section.values())))
@pytest.mark.parametrize("split", [False, True])
def test_no_step_of_several_ranks_waits_for_its_device(section, split, stops):
    with ranks_played(RANKS, 1):
        for train in STEPS:
            assert second_step(section | {"split_classes": split}, train, stops, RANKS) == [], train


@pytest.mark.parametrize("terms", TERMS, ids=lambda terms: "-".join(terms.values()))
@pytest.mark.parametrize("section", [HEADS[1], HEADS[3], HEADS[6]], ids=["learned", "distilled", "sampled"])
def test_no_term_waits_for_its_device(section, terms, stops):
    for train in STEPS:
        assert second_step(section, train, stops, terms=terms) == [], train
    with ranks_played(RANKS, 1):
        for split in (False, True):
            assert second_step(section | {"split_classes": split}, {}, stops, RANKS, terms) == [], split


def test_no_batchnorm_over_ranks_waits_for_its_device(stops):
    with ranks_played(RANKS, 1):
        assert second_step(HEADS[3], {"sync_batchnorm": True}, stops, RANKS) == []


@pytest.mark.parametrize("ranks", [1, RANKS])
def test_no_line_of_the_log_waits_when_it_is_asked_for(ranks, stops, monkeypatch):
    """Its numbers are copied in `Report`, which waits when they are read."""
    monkeypatch.setattr("distill.run.window.Report", lambda *numbers: numbers)
    with ranks_played(ranks, 0) if ranks > 1 else nullcontext():
        window, trainer = Window(), small_trainer(HEADS[0], {}, ranks)
        for step in range(2):
            window.add(small_batch(HEADS[0], ranks), trainer.step(small_batch(HEADS[0], ranks), step, 10))
        stops.clear()
        assert window.close(2, largest_weight(trainer), ranks)[3].shape[:2] == (ranks, 2)
    assert stops == []


def test_a_number_read_in_a_step_is_noticed(stops, monkeypatch):
    clip = nn.utils.clip_grad_norm_
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *named: clip(*named, error_if_nonfinite=True))
    with pytest.raises((RuntimeError, NotImplementedError)):
        second_step(HEADS[0], {}, stops)
