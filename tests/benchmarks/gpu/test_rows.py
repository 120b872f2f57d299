"""The rows of the GPU check, small, on the CPU: what they see, and that they see what is wrong."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.gpu import heads, pace, search, steps, training
from benchmarks.gpu.finding import Finding
from benchmarks.gpu.place import Place
from benchmarks.gpu.rows import ROWS, Row
from benchmarks.gpu.runner import run_row
from common.config import RECIPES

QUICK = ("environment", "stops", "compile", "graphs", "onnx", "export")


def rows_function(row: Row):
    module, name = row.function.split(":")
    return getattr(importlib.import_module(f"benchmarks.gpu.{module}"), name)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place.of(tmp_path, "cpu")


def verdicts(findings: list[Finding]) -> set[str]:
    return {finding.verdict for finding in findings}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_is_a_function_that_says_what_it_does(row):
    assert (rows_function(row).__doc__ or "").strip()


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in QUICK], ids=lambda row: row.name)
def test_a_row_is_good_on_a_cpu_and_says_what_needs_a_card(row, place):
    found = list(rows_function(row)(place))
    assert "BAD" not in verdicts(found), [finding.line() for finding in found]
    assert any(finding.verdict == "needs a card" for finding in found) or row.name == "export"


def test_heads_are_compared_by_recipe_and_a_wrong_margin_is_bad(place, monkeypatch):
    monkeypatch.setattr(heads, "RECIPES", {"arcface": {}, "adadistill-adaface-confidence": {}})
    assert verdicts(list(heads.parity(place))) == {"OK"}
    right = heads.head_steps

    def wrong(section, device, dtype, *sizes):
        return right({**section, "m": 0.4001} if dtype == torch.float32 else section, device, dtype, *sizes)

    monkeypatch.setattr(heads, "head_steps", wrong)
    by_precision = {finding.what: finding.verdict for finding in heads.parity(place)}
    assert by_precision["arcface, float32"] == "BAD"
    assert by_precision["adadistill-adaface-confidence, float32"] == "BAD"
    assert set(RECIPES) > {"arcface", "adadistill-adaface-confidence"}


def test_a_search_that_names_wrong_rows_or_wrong_scores_is_bad(place, monkeypatch):
    assert verdicts(list(search.neighbours(place))) == {"OK", "needs a card"}
    right = search.search

    def other_rows(gallery, probes, k):
        scores, rows = right(gallery, probes, k)
        return scores, rows[:, ::-1]

    def other_scores(gallery, probes, k):
        scores, rows = right(gallery, probes, k)
        return scores * np.float32(1.0001), rows

    for wrong in (other_rows, other_scores):
        monkeypatch.setattr(search, "search", wrong)
        assert [finding.verdict for finding in search.neighbours(place)].count("BAD") >= 2


def test_batches_of_nothing_are_the_same_every_time_and_hold_what_the_head_reads():
    head = {"recipe": "adadistill-adaface-confidence"}
    trainer = steps.new_trainer(torch.device("cpu"), head, 9, "mobilefacenet_0.1")
    first, again, other = (steps.batch_of(trainer, 4, 9, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.faces, other.faces)
    assert first.f_t is not None
    assert first.confidence is not None


def test_traffic_is_what_each_layer_reads_and_writes():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.PReLU(2))
    image, maps = 3 * 6 * 6, 2 * 4 * 4
    convolution = (image + maps) + (2 * maps + image + image)
    batch_norm = (2 * maps + maps) + (4 * maps + maps)
    prelu = (maps + maps) + (2 * maps + maps)
    assert pace.traffic(network, torch.empty(1, 3, 6, 6)) == convolution + batch_norm + prelu


def test_a_figure_that_leaves_the_bound_of_a_run_is_bad():
    reference = torch.tensor([40.0, 39.0, 38.0])
    assert training.near("x", reference * 1.001, reference, (2e-3, 1e-2)).verdict == "OK"
    assert training.near("x", reference * 1.003, reference, (2e-3, 1e-2)).verdict == "BAD"
    assert training.near("x", reference + torch.tensor([0.0, 0.0, 1.0]), reference, (2e-3, 1e-2)).verdict == "BAD"
    assert training.near("x", reference * float("nan"), reference, (2e-3, 1e-2)).verdict == "BAD"


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.name not in QUICK], ids=lambda row: row.name)
def test_the_whole_check_is_good_on_a_cpu(row, tmp_path):
    outcome = run_row(row, tmp_path / row.name, "cpu")
    assert "BAD" not in verdicts(outcome.findings), Path(outcome.output).read_text()
