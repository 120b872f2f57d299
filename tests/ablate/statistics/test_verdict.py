"""Verdicts on a study: which spread decides, what is said where nothing can be told, and Holm over the table."""

from dataclasses import replace

import numpy as np
import pytest

from ablate.results import Run, Study
from ablate.statistics import verdicts
from ablate.statistics.holm import holm
from ablate.statistics.seeds import difference_over_seeds
from common.config import Config
from evaluate.protocols.verification import verify_distances
from evaluate.report.pair_file import pair_path, save_pairs

ISSAME = np.arange(400) % 2 == 0
BASE = (0.80, 0.81, 0.79)


def run(point, seed, metrics, status="done"):
    config = Config.model_construct(name=f"{point}-{seed}")
    return Run(point, point, {}, seed, config.run_dir, config, status, metrics=metrics)


def study(runs, baseline="base"):
    return Study("heads", "", baseline, ["lfw.accuracy"], runs, {}, {}, [])


def seeds_of(**points):
    return [
        run(point, seed, {"lfw.accuracy": rate}) for point, rates in points.items() for seed, rate in enumerate(rates)
    ]


def with_pairs(point, seed, genuine, people=None, issame=ISSAME):
    """A run whose student gives genuine pairs of set lfw that score on the average, scores kept in its folder."""
    rng = np.random.default_rng(7 + seed)
    scores = genuine * issame + 0.1 * rng.normal(size=len(issame))
    result = replace(verify_distances(2 - 2 * scores, issame, far_targets=(0.05,)), people=people)
    tar = result.tar_at_far[0.05].tar
    found = run(point, seed, {"lfw.accuracy": result.accuracy, "lfw.tar@0.05": tar, "lfw.eer": result.eer})
    path = pair_path(found.folder / "evaluation", "lfw", found.config.name)
    path.parent.mkdir(parents=True)
    save_pairs(path, result)
    return found


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_seeds_decide_and_their_p_are_corrected_over_the_points_of_the_table():
    rates = {"better": (0.90, 0.905, 0.895), "worse": (0.7, 0.71, 0.705), "equal": (0.80, 0.80, 0.81)}
    found = verdicts(
        study(seeds_of(better=rates["better"], base=BASE, worse=rates["worse"], equal=rates["equal"])), "lfw.accuracy"
    )
    assert [(verdict.point, verdict.word) for verdict in found] == [
        ("better", "better"),
        ("worse", "worse"),
        ("equal", "not told apart"),
    ]
    plain = [difference_over_seeds(rates[verdict.point], BASE, 3) for verdict in found]
    assert [verdict.p for verdict in found] == [difference.p for difference in plain]
    assert [verdict.smallest_shown for verdict in found] == [difference.smallest_shown for difference in plain]
    assert [verdict.p_holm for verdict in found] == holm(np.array([difference.p for difference in plain])).tolist()
    assert {(verdict.over, verdict.note) for verdict in found} == {("seeds", "")}
    assert all(verdict.low <= verdict.difference <= verdict.high for verdict in found)


def test_what_holm_takes_back_is_not_told_apart():
    one = {"base": BASE, "a": (0.82, 0.835, 0.83)}
    assert verdicts(study(seeds_of(**one)), "lfw.accuracy")[0].word == "better"
    many = one | dict.fromkeys("bcdefg", BASE)
    found = verdicts(study(seeds_of(**many)), "lfw.accuracy")[0]
    assert found.p < 0.05 < found.p_holm
    assert found.word == "not told apart"


def test_a_higher_error_rate_is_worse():
    runs = [
        run(point, seed, {"lfw.eer": rate + 0.001 * seed})
        for point, rate in (("base", 0.1), ("a", 0.2))
        for seed in range(3)
    ]
    assert [verdict.word for verdict in verdicts(study(runs), "lfw.eer")] == ["worse"]


def test_runs_without_the_number_do_not_count():
    runs = seeds_of(base=BASE, a=(0.9, 0.91, 0.92))
    failed = [run("a", 3, {"lfw.accuracy": 0.1}, "failed"), run("late", 0, {}, "waiting")]
    assert verdicts(study([*runs, *failed]), "lfw.accuracy") == verdicts(study(runs), "lfw.accuracy")
    assert verdicts(study(runs, baseline="gone"), "lfw.accuracy") == []
    assert verdicts(study(runs), "lfw.auc") == []
    assert verdicts(study(seeds_of(base=BASE)), "lfw.accuracy") == []


@pytest.mark.parametrize("metric", ["lfw.accuracy", "lfw.tar@0.05"])
def test_with_one_seed_the_pairs_decide_and_the_verdict_says_so(metric):
    runs = [with_pairs("base", 0, 0.2), with_pairs("a", 1, 0.5), with_pairs("b", 2, 0.2)]
    better, equal = verdicts(study(runs), metric)
    assert (better.word, equal.word) == ("better", "not told apart")
    assert better.over == "pairs"
    assert better.over_pairs.difference == better.difference == runs[1].metrics[metric] - runs[0].metrics[metric]
    assert "one seed" in better.note
    assert "students" in better.note


def test_people_who_repeat_are_what_is_drawn():
    first = np.arange(400) % 90
    people = np.stack([first, np.where(ISSAME, first, first + 1)], axis=1).astype(np.int64)
    runs = [with_pairs("base", 0, 0.2, people), with_pairs("a", 1, 0.5, people)]
    assert verdicts(study(runs), "lfw.accuracy")[0].over == "people"


def test_with_several_seeds_the_pairs_stand_beside_and_change_nothing():
    runs = [with_pairs(point, seed, rate) for point, rate in (("base", 0.2), ("a", 0.25)) for seed in (0, 1, 2)]
    found = verdicts(study(runs), "lfw.accuracy")[0]
    rates = [[one.metrics["lfw.accuracy"] for one in runs if one.point == point] for point in ("a", "base")]
    assert (found.over, found.p) == ("seeds", difference_over_seeds(*rates).p)
    assert found.over_pairs.over == "pairs"
    assert found.over_pairs.difference == pytest.approx(found.difference)
    assert found.over_pairs.p_holm == found.over_pairs.p


def test_one_seed_without_kept_scores_tells_nothing_and_says_why():
    found = verdicts(study(seeds_of(base=[0.8], a=[0.9])), "lfw.accuracy")[0]
    assert (found.word, found.over, found.difference) == ("not told apart", None, pytest.approx(0.1))
    assert np.isnan([found.p, found.p_holm, found.low, found.high, found.smallest_shown]).all()
    assert found.note.startswith("one seed, and runs/base-0/evaluation/pairs-lfw-base-0.npz: no scores of pairs")
    eer = verdicts(study([with_pairs("base", 3, 0.2), with_pairs("a", 3, 0.5)]), "lfw.eer")[0]
    assert eer.note == "one seed, and this number has no spread over pairs"


def test_a_point_without_scores_leaves_the_others_theirs():
    runs = [with_pairs("base", 0, 0.2), run("late", 0, {"lfw.accuracy": 0.9}), with_pairs("a", 1, 0.5)]
    late, kept = verdicts(study(runs), "lfw.accuracy")
    assert (late.over, kept.over) == (None, "pairs")
    assert kept.p_holm == kept.p, "only what was tested is corrected for"


def test_students_measured_on_other_pairs_are_not_compared_over_pairs():
    runs = [with_pairs("base", 0, 0.2), with_pairs("a", 1, 0.5, issame=~ISSAME)]
    found = verdicts(study(runs), "lfw.accuracy")[0]
    assert found.over is None
    assert found.note == "one seed, and runs/a-1: evaluated on other pairs of lfw; evaluate again"


def test_seeds_that_all_gave_the_same_leave_it_to_the_pairs():
    found = verdicts(study(seeds_of(base=[0.8, 0.8], a=[0.9, 0.9])), "lfw.accuracy")[0]
    assert (found.word, found.over) == ("not told apart", None)
    assert found.note.startswith("the seeds show no spread, and ")
