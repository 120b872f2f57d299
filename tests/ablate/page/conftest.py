"""The study, its page, and a browser, each once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ablate.page import write_page
from ablate.results import Study
from tests.ablate.page.study import axis_study, make_study, verdicts_of
from tests.browser import Page, browser

COMMAND = "python -m ablate report --config configs/ablations/lfw-heads.toml --data data"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="session")
def study(world: Path) -> Study:
    return make_study(world)


@pytest.fixture(scope="session")
def pages(world: Path, study: Study) -> dict[str, Path]:
    """An ablation of cases, one along an axis, a single run, and one that has left nothing yet."""
    axis = axis_study(world / "axis")
    alone = make_study(world / "alone", 1)
    alone = replace(alone, runs=alone.runs[:1], baseline=alone.runs[0].point, hypothesis="")
    [cases] = write_page(study, verdicts_of(study), world / "reports" / "cases", ("html",), COMMAND)
    [along] = write_page(axis, verdicts_of(axis), world / "reports" / "axis")
    [single] = write_page(alone, [], world / "reports" / "alone")
    nothing = replace(
        alone, metrics=[], runs=[replace(alone.runs[0], folder=world / "none", status="waiting", metrics={})]
    )
    [empty] = write_page(nothing, [], world / "reports" / "empty")
    return {"cases": cases, "axis": along, "alone": single, "empty": empty}


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page
