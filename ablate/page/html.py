"""A study as one HTML file: tables and sentences in the markup, charts drawn from numbers that lie beside them.

Names come from experiment files, and may be anything. The template escapes them, JSON is written without a character
that could end its script element, the scripts set text as text; and should markup ever slip through, the page's own
policy lets no script run but the one whose digest it names, and nothing be fetched.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ablate.page import words
from ablate.page.curves import drawn_folders, learning_curves
from ablate.page.differences import differing_options
from ablate.page.leaderboard import Board, boards
from ablate.page.rates import Evaluated, rate_curves
from ablate.page.savings import saved_text
from ablate.page.scalers import scalers
from ablate.page.strips import HEIGHT, WIDTH, difference_scale, value_scale
from common.plan import duration_text
from common.text import printable

if TYPE_CHECKING:
    from ablate.results import Run, Study
    from ablate.statistics import Verdict

HERE = Path(__file__).parent


def html_of(study: "Study", verdicts: Mapping[str, Sequence["Verdict"]], page: Path, command: str) -> str:
    """The page. verdicts: by metric. page: where it will lie, for links are relative to it. command: what makes it."""
    tables = boards(study, verdicts)
    style = (HERE / "page.css").read_text(encoding="utf-8")
    script = (HERE / "chart.js").read_text(encoding="utf-8") + (HERE / "page.js").read_text(encoding="utf-8")
    single = len(study.points) == 1
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    shown = {
        name: getattr(words, name) for name in ("interval", "known", "metric_name", "millions", "percent", "points")
    }
    return environment.get_template("page.html.jinja").render(
        **shown,
        probability=words.probability,
        duration=duration_text,
        sortable=lambda number: number if words.known(number) else "",
        word_class=lambda word: word if word in ("better", "worse") else "neither",
        width=WIDTH,
        height=HEIGHT,
        study=study,
        kicker="Run" if single else "Ablation",
        single=single,
        several_seeds=len({run.seed for run in study.runs}) > 1,
        facts=_facts(study, single),
        boards=tables,
        scales=[
            (value_scale(board), difference_scale([row.verdict for row in board.rows if row.verdict is not None]))
            for board in tables
        ],
        has_teacher=any(words.known(board.teacher) for board in tables),
        verdict_words=[_in_words(study, board, verdicts.get(board.metric, ())) for board in tables],
        unfinished=[run for run in study.runs if run.status != "done"],
        commands=[(run, run.metrics.get(study.metrics[0]) if study.metrics else None) for run in study.runs],
        sheets=[(run, links) for run in study.runs if (links := _error_sheets(run, page))],
        command=command,
        date=date.today().isoformat(),
        scalers=scalers(study),
        data=(data := _data(study, tables)),
        json=_json(data),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
    )


def _facts(study: "Study", single: bool) -> list[tuple[str, str]]:
    done, runs = sum(run.status == "done" for run in study.runs), len(study.runs)
    trained = sum(run.seconds or 0 for run in study.runs)
    facts = [("runs done", f"{done:,} of {runs:,}")]
    if not single:
        seeds = len({run.seed for run in study.runs})
        facts += [("points", f"{len(study.points):,} \N{MULTIPLICATION SIGN} {words.counted(seeds, 'seed')}")]
        facts += [("compared with", study.baseline)]
    facts += [("training", duration_text(trained))] if trained else []
    facts += [("teacher spared", spared)] if (spared := saved_text(study)) else []
    facts += [("cache", f"{path}, {digest[:12]}") for path, digest in list(study.caches.items())[:2]]
    return facts


def _in_words(study: "Study", board: Board, verdicts: Sequence["Verdict"]) -> tuple[str, str, list[Any]]:
    said = [(verdict, words.sentence(verdict, study.baseline), words.beside(verdict)) for verdict in verdicts]
    return board.metric, words.headline(verdicts, study.baseline, board.metric), said


def _data(study: "Study", tables: Sequence[Board]) -> dict[str, Any]:
    """What the scripts draw from. Everything by place: a run by its number, a point by its."""
    number_of = {point: number for number, point in enumerate(study.points)}
    reports = [Evaluated(run.folder / "evaluation", run.config.name) for run in study.runs]
    sets = [name for run in study.runs for name in run.config.evaluate.sets]
    numeric = {
        key: {run.axes[key] for run in study.runs if key in run.axes}
        for key in dict.fromkeys(key for run in study.runs for key in run.axes)
    }
    best = [row.number for row in tables[0].rows] if tables else list(number_of.values())
    return {
        "points": list(number_of),
        "baseline": number_of.get(study.baseline, 0),
        "best": best,
        "metrics": list(study.metrics),
        "names": {metric: words.metric_name(metric) for metric in study.metrics},
        "runs": [
            {
                "point": number_of[run.point],
                "seed": run.seed,
                "case": run.case,
                "axes": {key: value if _is_number(value) else str(value) for key, value in run.axes.items()},
                "metrics": {name: run.metrics[name] for name in study.metrics if words.known(run.metrics.get(name))},
            }
            for run in study.runs
        ],
        "axes": [key for key, values in numeric.items() if len(values) > 1 and all(map(_is_number, values))],
        "curves": learning_curves(drawn_folders(study.runs), study.metrics),
        "rates": rate_curves(reports, sets),
        "options": differing_options([run.config for run in study.runs]),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and words.known(value)


def _error_sheets(run: "Run", page: Path) -> list[tuple[str, str]]:
    """(name, link) of the sheets that `python -m evaluate errors --out RUN/errors` drew, and the like."""
    found = sorted(run.folder.glob("errors-*.png")) + sorted(run.folder.glob("*/errors-*.png"))
    from_page = partial(os.path.relpath, start=page.parent)
    return [(printable(path.stem), quote(Path(from_page(path)).as_posix())) for path in found]


def _json(value: Any) -> str:
    """JSON that no HTML parser and no script takes for anything else; what is not finite would be an error."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
