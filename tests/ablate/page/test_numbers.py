"""The page's numbers are those of the runs."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablate.page import write_page
from ablate.page.curves import drawn_folders, learning_curves
from ablate.page.leaderboard import boards
from ablate.page.rates import Evaluated, rate_curves
from ablate.page.savings import faces_spared
from ablate.page.scalers import scalers
from ablate.page.strips import value_scale
from ablate.page.words import headline, metric_name
from ablate.page.words import sentence as joined_sentence
from ablate.results import Study
from ablate.statistics import Verdict
from distill.histograms import names
from evaluate.protocols import Roc
from tests.ablate.page.study import ACCURACY, BASELINE, TAR, make_study, verdicts_of


def test_a_rows_mean_and_standard_error_are_those_of_its_finished_runs(study: Study) -> None:
    board = boards(study, {})[0]
    assert [row.point for row in board.rows if row.is_baseline] == [BASELINE]
    for row in board.rows:
        values = np.array([run.metrics[ACCURACY] for run in study.runs if run.point == row.point and run.metrics])
        assert row.mean == pytest.approx(values.mean())
        assert row.error == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)))
        assert len(row.values) == len(values)
    assert board.teacher == study.teacher[ACCURACY]


def test_of_an_error_rate_the_lowest_is_the_best(study: Study) -> None:
    eer = "lfw_folds12.eer"
    runs = [replace(run, metrics={eer: 1 - run.metrics[ACCURACY]} if run.metrics else {}) for run in study.runs]
    [board] = boards(replace(study, metrics=[eer], runs=runs), {})
    assert [row.point for row in board.rows] == [row.point for row in boards(study, {})[0].rows]


def test_a_teacher_far_away_does_not_press_the_dots_together(study: Study) -> None:
    board = boards(study, {})[0]
    values = [value for row in board.rows for _, value in row.values]
    near, far = (value_scale(replace(board, teacher=teacher)) for teacher in (max(values) + 0.01, 0.99))
    assert near is not None
    assert far is not None
    assert near.holds(max(values) + 0.01)
    assert not far.holds(0.99)
    for scale in (near, far):
        assert scale.low <= min(values) < max(values) <= scale.high
        assert scale.at(min(values)) < scale.at(max(values))


@pytest.mark.parametrize("seed", range(4))
def test_a_drawn_tar_is_the_highest_whose_far_does_not_exceed_the_place(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    roc = Roc(draw.normal(1.2, 1, 300).round(2), draw.normal(0, 1, 400).round(2))
    far, tar = roc.turning_points()
    with (tmp_path / "roc-lfw.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("model", "far", "tar"), *(("one", x, y) for x, y in zip(far, tar, strict=True))])
    curves = rate_curves([Evaluated(tmp_path, "one"), Evaluated(tmp_path, "other")], ["lfw"])["lfw"]
    assert curves["runs"][1] is None
    assert curves["teacher"] is None
    assert curves["far"][-1] == 1
    for place, drawn in zip(curves["far"], curves["runs"][0], strict=True):
        assert drawn == pytest.approx(roc.tar_at_most(place * (1 + 1e-4)).tar, abs=1e-4) or drawn == pytest.approx(
            roc.tar_at_most(place).tar, abs=1e-4
        )


def test_curves_keep_both_ends_and_leave_out_what_a_kill_cut(tmp_path: Path) -> None:
    lines = [json.dumps({"step": n, "epoch": n / 100, "loss": 40 - n / 100}) for n in range(1000)]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 1000, "ep']))
    found = learning_curves([tmp_path, tmp_path / "none"], [])
    assert found["names"] == ["loss"]
    assert found["runs"][1] == {}
    curve = found["runs"][0]["loss"]
    assert (curve["x"][0], curve["x"][-1]) == (0.0, 9.99)
    assert (curve["y"][0], curve["y"][-1]) == (40.0, 30.01)
    assert len(curve["x"]) == len(curve["y"]) <= 120
    assert curve["x"] == sorted(curve["x"])


def test_a_run_that_is_not_done_cuts_no_curve_of_finished_ones_short(study: Study) -> None:
    of_one = [run for run in study.runs if run.point == BASELINE]
    half = [replace(run, status="running" if run is of_one[0] else "done") for run in of_one]
    assert drawn_folders(half) == [None, *(run.folder for run in of_one[1:])]
    begun = [replace(run, status="running") for run in of_one]
    assert drawn_folders(begun) == [run.folder for run in of_one], "else there would be none"
    nothing = learning_curves([None, of_one[1].folder], study.metrics)["runs"]
    assert nothing[0] == {}
    assert nothing[1]


def test_a_page_of_hundreds_of_runs_stays_small(study: Study, tmp_path: Path) -> None:
    runs = [replace(run, point=f"{run.point} {copy}") for copy in range(15) for run in study.runs]
    [page] = write_page(replace(study, runs=runs, baseline=runs[0].point), [], tmp_path)
    assert len(runs) == 270
    assert page.stat().st_size < 2_000_000


def test_faces_spared_are_those_read_by_runs_with_a_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = make_study(tmp_path, 1)
    assert faces_spared(study.runs, []) == 5 * 544 * 64  # arcface reads no teacher


def sentence(verdict: Verdict, baseline: str) -> str:
    """As it is read: where a line must not break is a space, too."""
    return joined_sentence(verdict, baseline).replace("\N{NO-BREAK SPACE}", " ")


def verdict(word: str, difference: float, **changes: float) -> Verdict:
    numbers = {"low": difference - 0.01, "high": difference + 0.01, "p": 0.01, "p_holm": 0.02, "smallest_shown": 0.013}
    return Verdict("cosface", ACCURACY, difference, **(numbers | changes), word=word)  # type: ignore[arg-type]


def test_sentences_say_direction_size_and_what_could_have_been_shown() -> None:
    worse = sentence(verdict("worse", -0.0186), "adaface")
    assert worse.startswith(
        "cosface is worse than adaface: −1.86 points (95 % interval −2.86 to −0.86 over seeds), p = 0.020"
    )
    assert sentence(verdict("better", 0.02, p_holm=0.0001), "adaface").endswith("p < 0.001 after Holm's correction.")
    nothing = sentence(verdict("not told apart", 0.004, p_holm=0.4), "adaface")
    assert "not told apart: +0.40 points" in nothing
    assert "1.30 points would have been found" in nothing
    hopeless = sentence(verdict("not told apart", 0.004, smallest_shown=2.9234), "adaface")
    assert hopeless.endswith("So few runs could have shown no difference of rates four times in five.")
    assert "292" not in hopeless, "rates differ by 100 points at most"
    nan = float("nan")
    untested = sentence(verdict("not told apart", 0.004, low=nan, high=nan, p=nan, p_holm=nan, smallest_shown=nan), "b")
    assert untested == "cosface and b are not told apart: +0.40 points."


def test_the_headline_names_every_case_by_its_verdict(study: Study) -> None:
    said = headline([verdict for verdict in verdicts_of(study) if verdict.metric == ACCURACY], BASELINE, ACCURACY)
    for point in study.points:
        assert point in said
    assert said.startswith("By accuracy on lfw_folds12, ")


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (TAR, "TAR @ FAR 1e-2 on lfw_folds12"),
        ("lfw.tar_at_far.0.001.tar", "TAR @ FAR 0.001 on lfw"),
        ("IJBC.NL.tar_at_far.0.0001.tar", "TAR @ FAR 0.0001 on IJBC (NL)"),
        ("tinyface.rank.1", "rank 1 on tinyface"),
        ("lfw.eer", "EER on lfw"),
        ("lfw.xnorm", "xnorm on lfw"),
        ("odd", "odd"),
    ],
)
def test_numbers_are_called_what_people_call_them(metric: str, name: str) -> None:
    assert metric_name(metric) == name


def test_tables_hold_every_seed_and_every_point(study: Study, tmp_path: Path) -> None:
    md, table, tex = write_page(study, verdicts_of(study), tmp_path, ("md", "csv", "tex"))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(row[ACCURACY]) for row in rows if row[ACCURACY]] == [
        run.metrics[ACCURACY] for run in study.runs if run.metrics
    ]
    assert [row["status"] for row in rows] == [run.status for run in study.runs]
    for text in (md.read_text(), tex.read_text().replace(r"\_", "_")):
        for run in study.runs:
            assert not run.metrics or f"{100 * run.metrics[ACCURACY]:.2f}" in text
    assert tex.read_text().count(r"\toprule") == tex.read_text().count(r"\bottomrule") == len(study.metrics)


def test_beside_a_single_value_the_teacher_is_the_scale(study: Study) -> None:
    run = next(run for run in study.runs if run.metrics)
    board = boards(replace(study, runs=[run]), {})[0]
    scale = value_scale(board)
    assert scale is not None
    assert scale.holds(run.metrics[ACCURACY])
    assert scale.holds(0.9417)


def test_a_points_scaler_is_the_last_lines_mean_over_seeds_and_is_drawn(tmp_path: Path) -> None:
    study = make_study(tmp_path, 2)
    point, others = study.points[1], study.points[2:]
    for number, run in enumerate(run for run in study.runs if run.point == point):
        early, late = (
            {name: float(place == at) for place, name in enumerate(names("margin_scaler"))} for at in (3, 19)
        )
        late["margin_scaler:00"] = float(number)
        with (run.folder / "metrics.jsonl").open("a") as file:
            file.writelines(json.dumps({"step": 1, "epoch": 9.0, **line}) + "\n" for line in (early, late, {"loss": 1}))
    [scaler] = scalers(study)
    assert (scaler.point, scaler.number) == (point, 1)
    assert scaler.shares == [0.5] + [0.0] * 18 + [1.0]
    [page] = write_page(study, [], tmp_path / "report")
    text = page.read_text()
    assert text.count('class="scaler"') == 1
    assert others
    bars = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="9.0" height="([\d.]+)"/>', text)
    assert [float(high) for _, high in bars] == [30.0] + [0.0] * 18 + [60.0]
    assert all(float(top) + float(high) == 60 for top, high in bars)
    assert not any(":" in name for name in learning_curves([run.folder for run in study.runs], study.metrics)["names"])
