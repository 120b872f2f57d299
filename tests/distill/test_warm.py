"""Reading ahead changes no number, tells batches before they are given out, and ends with the run."""

import threading
from pathlib import Path

import numpy as np
import pytest

from cache.reader import TeacherCache
from common.disk import ReadAhead
from common.faces.sources import open_source
from common.faces.views import Views
from distill.batches import EpochOrder, FaceBatches
from distill.warm import AHEAD, ToldOrder, reading_ahead
from tests.cold_files import drop, resident, within
from tests.distill.small_runs import curves, equal, run
from tests.tiny import experiment

OPTIONS = {"epochs": 2, "workers": 1, "log_every": 1}


def order_of(samples: int, **train: object) -> EpochOrder:
    return EpochOrder(experiment(train={"batch_size": 2, **train}), np.arange(samples), 0, 1)


class Told(list):
    tell = list.append


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_batches_are_those_of_the_order_each_told_once_and_early():
    order, told = order_of(60, epochs=3), Told()
    step = len(order) + 4
    expected = list(order.from_step(step))
    given = []
    for batch in ToldOrder(order, told).from_step(step):
        given.append(batch)
        assert len(told) == min(len(given) + AHEAD, len(expected))
    assert len(given) == len(expected) == 3 * len(order) - step
    assert all(map(same, given, expected))
    assert all(map(same, told, expected))


def test_a_cold_run_ends_in_the_numbers_of_one_that_reads_nothing_ahead(cached):
    plain = run("plain", train={**OPTIONS, "warm": "off"})
    drop(Path("data/faces"), Path("caches/tiny"))
    assert equal(run("warm", train=OPTIONS), plain)
    assert curves("warm") == curves("plain")
    assert "read ahead" not in {thread.name for thread in threading.enumerate()}


def test_what_is_read_ahead_is_what_batches_are_made_of(cached):
    drop(Path("data/faces"), Path("caches/tiny"))
    source, cache, order = open_source("data/faces"), TeacherCache("caches/tiny"), order_of(35)
    batches = FaceBatches(source, Views("flip", 0, 2), cache, True, (112, 112), "off")
    read = [Path("data/faces/train.rec")]
    read += [
        path for name in ("embedding", "confidence", "pixels") for path in Path(f"caches/tiny/{name}/c").rglob("*")
    ]
    with reading_ahead("auto", batches, order) as ahead:
        next(ToldOrder(order, ahead).from_step(0))
        assert within(5, lambda: all(resident(file, 0) for file in read if file.is_file()))
    with reading_ahead("off", batches, order) as ahead:
        next(ToldOrder(order, ahead).from_step(0))
        assert ahead._thread is None


def test_a_run_says_what_reading_ahead_says(cached, monkeypatch, capsys):
    lines = iter([["faces read ahead"], []])
    monkeypatch.setattr(ReadAhead, "news", lambda self: next(lines, []))
    run("said", train=OPTIONS)
    assert capsys.readouterr().out.count("faces read ahead\n") == 1


@pytest.mark.parametrize("split", [False, True])
def test_faces_are_announced_for_the_rows_of_the_rank_and_rows_for_all(cached, monkeypatch, split):
    source, cache = open_source("data/faces"), TeacherCache("caches/tiny")
    config = experiment(train={"batch_size": 2}, head={"split_classes": split})
    order = EpochOrder(config, np.arange(35), 1, 2)
    batches = FaceBatches(source, Views("flip", 0, 2), cache, False, (112, 112), "off", order.rows_of_rank)
    faces, rows = [], []
    monkeypatch.setattr(type(source), "stretches", lambda self, samples: [])
    monkeypatch.setattr("common.disk.read_ahead.in_memory", lambda stretches: False)
    monkeypatch.setattr("common.disk.read_ahead.available_bytes", lambda: -1)
    monkeypatch.setattr(type(source), "announce", lambda self, samples: faces.append(samples))
    monkeypatch.setattr(type(cache), "announce", lambda self, *rest: rows.append(rest))
    wanted = next(order.from_step(0))
    with reading_ahead("auto", batches, order) as ahead:
        ahead.tell(wanted)
        assert within(5, lambda: len(faces) == len(rows) == 1)
    samples, views = wanted.samples, wanted.views
    assert np.array_equal(faces[0], samples[2:4] if split else samples)
    assert same(rows[0][:2], (samples, views))
    assert len(samples) == (4 if split else 2)
