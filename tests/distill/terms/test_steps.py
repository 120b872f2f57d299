"""Terms in the step and in whole runs: micro-batches, float16, resuming, what is said of them."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from common.config import TermsConfig, TrainConfig
from distill.head import build_head
from distill.plan import plan_training
from distill.step import Trainer
from distill.terms import build_terms
from tests.distill.small_runs import CPU, curves, equal, final_state, run
from tests.distill.test_step import CLASSES, DIM, ROWS, Student, after, batch
from tests.tiny import experiment

EVERYTHING = {"match": "mse", "logits": "gkd", "relation": "rkd", "margin_weight": 0.5}
RANKS = {"match": "cosine", "logits": "kd", "relation": "ekd", "rank_temperature": 0.1}


def trainer(terms: dict, **train) -> Trainer:
    torch.manual_seed(5)
    told = TermsConfig.model_validate(terms)
    head = build_head({"margin": "adaface", "geometry": "live"}, CLASSES, DIM)
    head.teach(told, torch.randn(CLASSES, DIM) if told.logits != "off" else None)
    config = TrainConfig(batch_size=ROWS, lr=0.1, **train)
    return Trainer(no_dropout_student(), head, config, CPU, 1, build_terms(told, split=False))


def no_dropout_student() -> nn.Module:
    student = Student(over_batch=False)
    student.last[0].p = 0.0
    return student


@pytest.mark.parametrize("terms", [EVERYTHING, RANKS], ids=["everything", "ranks"])
def test_micro_batches_change_no_term(terms):
    whole, cut = trainer(terms), trainer(terms, accumulate=3)
    assert after(whole) == pytest.approx(after(cut), rel=1e-4)
    torch.testing.assert_close(cut.state()["student"], whole.state()["student"], rtol=1e-3, atol=1e-5)


def test_the_loss_is_the_weighted_sum_of_what_is_said():
    weights = {"margin_weight": 0.5, "match_weight": 2.0, "logits_weight": 0.25, "relation_weight": 3.0}
    said = trainer(EVERYTHING | weights).step(batch(0), 0, 10)
    parts = 0.5 * said["margin_loss"] + 2 * said["match"] + 0.25 * said["logits"] + 3 * said["relation"]
    torch.testing.assert_close(said["loss"], parts)


def test_float16_takes_the_steps_of_float32_about():
    full, half = trainer(EVERYTHING), trainer(EVERYTHING, precision="float16")
    for step in range(20):  # a scaler skips its first steps, until nothing overflows
        norm = half.step(batch(0), step, 100)["gradient_norm"]
        if norm.isfinite():
            break
    assert norm.item() == pytest.approx(full.step(batch(0), 0, 100)["gradient_norm"].item(), rel=0.05)


def test_a_run_with_terms_resumes_bit_for_bit_and_says_what_they_came_to(cached, stop_at):
    sections = {"terms": EVERYTHING, "train": {"photos_a_person": 2, "log_every": 1}}
    whole = run("whole", **sections)
    stop_at(5, "stopped", **sections)
    assert equal(run("stopped", **sections), whole)
    assert equal(final_state("stopped"), final_state("whole"))
    for line in curves("whole"):
        terms = 0.5 * line["margin_loss"] + line["match"] + line["logits"] + line["relation"]
        assert line["loss"] == pytest.approx(terms, rel=1e-5)


def test_terms_teach_a_student_that_learns_its_own_centres(cached):
    head = {"margin": "arcface", "centers": "learned"}
    sections = {"head": head, "terms": {"match": "cosine", "match_weight": 8.0}, "train": {"epochs": 3, "log_every": 1}}
    run("told", **sections)
    lines = curves("told")
    assert lines[-1]["cos_st"] > lines[0]["cos_st"] + 0.1
    assert lines[-1]["match"] == pytest.approx(1 - lines[-1]["cos_st"], abs=1e-5)


def test_terms_without_a_teacher_are_refused_and_those_with_one_read_its_cache():
    alone = {"margin": "arcface", "centers": "learned"}
    with pytest.raises(ValueError, match="terms read a teacher, but there is none"):
        experiment(head=alone, terms={"match": "cosine"}, teacher=None)
    assert experiment(head=alone, terms={"match": "cosine"}).reads_teacher
    assert not experiment(head=alone).reads_teacher


def test_a_plan_says_what_the_loss_is_made_of(cached):
    config = experiment(cache={"path": "caches/tiny"}, terms=EVERYTHING, student={"embedding_size": 6})
    text = plan_training(config, Path("data"), "cpu").text()
    assert re.search(r"loss +0\.5 x margin \+ 1 x match mse \+ 1 x logits gkd \+ 1 x relation rkd", text)
    assert re.search(r"lifted +to the teacher's 16", text)
