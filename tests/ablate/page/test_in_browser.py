"""The page as people use it, in a real browser."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

import pytest

from ablate.results import Study
from tests.ablate.page.study import ACCURACY, BASELINE, RECIPES
from tests.browser import Page

NAMES = "[...document.querySelectorAll('.board:not([hidden]) .sorted .point')].map((e) => e.textContent)"
PICK = (
    "(() => {{ const select = document.getElementById('{}'); select.value = '{}'; "
    "select.dispatchEvent(new Event('change')); }})()"
)


@pytest.mark.parametrize("name", ["cases", "axis", "alone", "empty"])
@pytest.mark.parametrize("width", [380, 700, 1000, 1090, 1280, 1600])
def test_at_any_width_nothing_scrolls_sideways_complains_or_asks_the_network(
    tab: Page, pages: Mapping[str, Path], name: str, width: int
) -> None:
    tab.open(pages[name], width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.complaints == []
    assert tab.requests == [pages[name].as_uri()]


def mean_by_point(study: Study, metric: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for run in study.runs:
        if metric in run.metrics:
            values.setdefault(run.point, []).append(run.metrics[metric])
    return {point: fmean(of_point) for point, of_point in values.items()}


def test_headers_sort_the_leaderboard_both_ways_and_the_teacher_stays_above(
    tab: Page, pages: Mapping[str, Path], study: Study
) -> None:
    tab.open(pages["cases"])
    means = mean_by_point(study, ACCURACY)
    best_first = sorted(means, key=lambda point: -means[point])
    assert tab.run(NAMES) == best_first
    header = ".board:not([hidden]) thead th:nth-child({}) button"
    tab.click(header.format(3))
    assert tab.run(NAMES) == best_first[::-1]
    tab.click(header.format(1))
    assert tab.run(NAMES) == sorted(means)
    tab.click(header.format(5))  # the baseline has no difference, and is last
    assert tab.run(NAMES) == [point for point in best_first if point != BASELINE] + [BASELINE]
    assert tab.run("document.querySelector('.leaderboard tbody tr').className") == "teacher"
    sorted_by = "[...document.querySelectorAll('.board:not([hidden]) th[aria-sort]')].map((e) => e.textContent)"
    assert tab.run(sorted_by) == ["points"]


def test_another_number_shows_its_own_leaderboard(tab: Page, pages: Mapping[str, Path], study: Study) -> None:
    tab.open(pages["cases"])
    tab.run(PICK.format("metric", 1))
    means = mean_by_point(study, study.metrics[1])
    assert tab.run(NAMES) == sorted(means, key=lambda point: -means[point])


def test_hovering_a_curve_says_the_mean_over_seeds_at_that_place(
    tab: Page, pages: Mapping[str, Path], study: Study
) -> None:
    tab.open(pages["cases"])
    tab.point(*tab.middle_of("#learning svg.plot"))
    shown = "[...document.querySelectorAll('.tip')].filter((tip) => !tip.hidden)"
    assert tab.run(f"{shown}.length") == 1
    epoch = float(tab.run(f"{shown}[0].querySelector('b').textContent").removeprefix("epoch "))
    cells = "[...{}[0].querySelectorAll('tr')].map((r) => [r.cells[1].textContent, r.cells[2].textContent])"
    rows = dict(tab.run(cells.format(shown)))
    assert set(rows) == set(RECIPES)
    losses = []
    for run in study.runs:
        if run.point == BASELINE:
            lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
            losses.append(
                min((line for line in lines if "loss" in line), key=lambda line: abs(line["epoch"] - epoch))["loss"]
            )
    assert float(rows[BASELINE]) == pytest.approx(fmean(losses), rel=2e-3)
    tab.point(2, 2)
    assert tab.run(f"{shown}.length") == 0


def test_curves_are_read_with_the_keyboard_too(tab: Page, pages: Mapping[str, Path]) -> None:
    tab.open(pages["cases"])
    tab.run("document.querySelector('#roc svg.plot').focus()")
    press = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: '{}', cancelable: true}}))"
    tab.run(press.format("End"))
    assert tab.run("document.querySelector('#roc .tip b').textContent") == "FAR 1"
    tab.run(press.format("Home"))
    assert float(tab.run("document.querySelector('#roc .tip b').textContent").removeprefix("FAR ")) < 0.01


def test_the_legend_takes_a_curve_away_and_back(tab: Page, pages: Mapping[str, Path]) -> None:
    tab.open(pages["cases"])
    count = "document.querySelectorAll('#det .series').length"
    assert tab.run(count) == len(RECIPES) + 1
    tab.click("#det .legend button")
    assert tab.run(count) == len(RECIPES)
    tab.click("#det .legend button")
    assert tab.run(count) == len(RECIPES) + 1


def test_dark_and_light_follow_the_system_until_the_button_says_otherwise(tab: Page, pages: Mapping[str, Path]) -> None:
    paper = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    for dark in (True, False):
        tab.run("localStorage.clear()")
        tab.open(pages["cases"], dark=dark)
        assert (tab.run(paper) < 128) == dark
        tab.click("#theme")
        assert (tab.run(paper) < 128) == (not dark)
        tab.open(pages["cases"], dark=dark)  # remembered
        assert (tab.run(paper) < 128) == (not dark)
    tab.run("localStorage.clear()")


def test_two_runs_are_compared_option_by_option(tab: Page, pages: Mapping[str, Path], study: Study) -> None:
    tab.open(pages["cases"])
    tab.run(PICK.format("run-a", 0))
    tab.run(PICK.format("run-b", 7))
    rows = tab.run(
        "[...document.querySelectorAll('#differing tbody tr')].map((r) => [...r.cells].map((c) => c.textContent))"
    )
    first, second = (study.runs[number].config.model_dump(mode="json") for number in (0, 7))
    expected = {
        f"{section}.{key}"
        for section in first
        if isinstance(first[section], dict)
        for key in first[section]
        if first[section][key] != second[section][key]
    }
    assert {key for key, _, _ in rows} == expected > {"head.centers", "train.seed"}
    assert ["train.seed", "0", "1"] in rows


def test_an_axis_with_numbers_has_a_plot_of_every_run(tab: Page, pages: Mapping[str, Path]) -> None:
    tab.open(pages["axis"])
    assert tab.run("document.querySelectorAll('#axis-plot .point-dot').length") == 2 * 4 * 3
    assert tab.run("document.querySelectorAll('#axis-plot .series').length") == 2
    tab.open(pages["cases"])
    assert tab.run("document.getElementById('axes').hidden")


def test_on_paper_everything_is_there_in_light_colours(tab: Page, pages: Mapping[str, Path], tmp_path: Path) -> None:
    tab.open(pages["cases"], dark=True)
    tab.ask("Emulation.setEmulatedMedia", media="print")
    try:
        boards = tab.run("[...document.querySelectorAll('.board')].map((b) => getComputedStyle(b).display)")
        assert boards == ["block", "block"]
        assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert tab.run("getComputedStyle(document.querySelector('.controls')).display") == "none"
        assert (
            tab.run(
                "(dispatchEvent(new Event('beforeprint')), document.querySelectorAll('details:not([open])').length)"
            )
            == 0
        )
    finally:
        tab.ask("Emulation.setEmulatedMedia", media="")
    tab.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
