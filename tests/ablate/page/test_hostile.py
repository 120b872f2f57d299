"""Names from experiment files are shown, never obeyed: by a browser, a spreadsheet, a terminal, LaTeX, Markdown."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from ablate.page import write_page
from ablate.results import Study
from tests.ablate.page.study import ACCURACY, config_of, verdicts_of, write_rates
from tests.browser import Page

SET = "</script><script>window.hacked=1</script>"
EVIL = (
    "</script><script>window.hacked=1</script><!--",
    "\"' onmouseover=window.hacked=1 x='",
    "<img src=x onerror=window.hacked=1>",
    "{{ 7 * 7 }}{% raw %}",
    "=cmd|' /C calc'!A1",
    "\\input{/etc/passwd} $x^2$ & % # _ ~",
    "]( javascript:window.hacked=1 ) | `x`",
    "\x1b[31mred\u202e\u2028 javascript:window.hacked=1",
)


@pytest.fixture(scope="module")
def hostile(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same study with something hostile wherever a name or text stands."""
    root = tmp_path_factory.mktemp("hostile")
    metric = f"{SET}.accuracy"
    runs = []
    for number, run in enumerate(study.runs):
        evil = EVIL[number % len(EVIL)]
        config = config_of("arcface", run.seed, evaluate={"sets": {SET: evil}}, faces={"path": evil})
        folder = root / "runs" / f"javascript:{number}'\"<b>&"
        (folder / "evaluation").mkdir(parents=True)
        (folder / "evaluation" / "errors-<i>'&\"-x.png").touch()
        (folder / "metrics.jsonl").write_text(
            "".join(json.dumps({"step": n, "epoch": n, EVIL[0]: 1.0, metric: 0.5}) + "\n" for n in range(3))
        )
        runs.append(
            replace(
                run,
                point=f"{run.point} {evil}",
                case=evil,
                axes={evil: evil, EVIL[2]: float(run.seed)},
                folder=folder,
                config=config,
                failure=run.failure and evil,
                metrics={metric: run.metrics[ACCURACY]} if run.metrics else {},
                changes=evil,
                command=evil,
            )
        )
    return replace(
        study,
        name=EVIL[0],
        hypothesis=" ".join(EVIL),
        baseline=runs[3].point,
        metrics=[metric],
        runs=runs,
        teacher={metric: 0.94},
        caches={evil: evil for evil in EVIL},
        notes=EVIL,
    )


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def tags_of(page: Path) -> _Tags:
    found = _Tags()
    found.feed(page.read_text())
    return found


def test_hostile_names_add_no_element_and_no_attribute(hostile: Study, pages: dict[str, Path], tmp_path: Path) -> None:
    [page] = write_page(hostile, verdicts_of(hostile), tmp_path / "reports", command=EVIL[0])
    found, plain = tags_of(page), tags_of(pages["cases"])
    assert found.tags - plain.tags == {"a"}  # the links to error sheets
    assert found.attributes - plain.attributes == {"href"}
    assert len(found.links) == len(hostile.runs)
    assert all(re.fullmatch(r"[\w./%-]+", link) and link.startswith("../") for link in found.links)
    assert page.read_text().count("<script") == 2


def test_links_to_error_sheets_lead_to_them(hostile: Study, tmp_path: Path) -> None:
    [page] = write_page(hostile, [], tmp_path / "reports")
    for link in tags_of(page).links:
        assert (page.parent / unquote(link)).is_file()


def test_a_browser_shows_hostile_names_and_runs_none_of_them(hostile: Study, tab: Page, tmp_path: Path) -> None:
    for number, run in enumerate(hostile.runs[:3]):
        write_rates(run.folder / "evaluation", run.config.name, np.random.default_rng(number), 0.8)
    [page] = write_page(hostile, verdicts_of(hostile), tmp_path / "reports", command=EVIL[0])
    tab.open(page, 1280)
    assert tab.complaints == []
    assert tab.requests == [page.as_uri()]
    assert tab.run("[typeof window.hacked, document.scripts.length]") == ["undefined", 2]
    assert tab.run("document.querySelector('h1').textContent") == hostile.name
    tab.point(*tab.middle_of("#learning svg.plot"))
    assert EVIL[0] in tab.run("document.querySelector('#learning').textContent")
    assert tab.run("typeof window.hacked") == "undefined"
    tab.size(380, 800)
    tab.settle()
    assert tab.run("document.documentElement.scrollWidth") <= 380


def test_markup_that_slipped_through_would_not_run_either(tab: Page, pages: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    slipped = "<script>window.hacked=1</script><img src='https://example.org/x' onerror='window.hacked=1'>"
    page.write_text(pages["cases"].read_text().replace("</h1>", f"</h1>{slipped}"))
    tab.open(page)
    assert tab.run("typeof window.hacked") == "undefined"
    refused = [line for line in tab.complaints if "Content Security Policy" in line]
    assert len(refused) >= 3, "the script, the picture, its handler"
    assert any("https://example.org/x" in line for line in refused)


def test_tables_hold_hostile_names_as_text(hostile: Study, tmp_path: Path) -> None:
    md, table, tex = write_page(hostile, verdicts_of(hostile), tmp_path, ("md", "csv", "tex"))
    rows = list(csv.reader(table.read_text().splitlines()))
    assert len(rows) == 1 + len(hostile.runs)
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "@", "+", "\t"))]
    text = tex.read_text()
    assert "\\input{/etc" not in text
    assert len(re.findall(r"(?<!\\)\\begin\{", text)) == 2
    assert re.search(r"(?<!\\)[%#]", text) is None
    lines = [line for line in md.read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(hostile.points) + 1
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "<script" not in re.sub(r"\\<", "", md.read_text())
    assert not [file for file in (md, table, tex) if re.search("[\x1b\u202e\u2028]", file.read_text())]
