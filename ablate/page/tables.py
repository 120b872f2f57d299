"""The page's tables as Markdown, CSV and LaTeX (booktabs), for papers and notes."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablate.page.leaderboard import Board, Row, boards
from ablate.page.words import DASH, MINUS, interval, known, metric_name, millions, percent, points, probability
from common.plan import duration_text
from common.text import csv_cell, printable

if TYPE_CHECKING:
    from ablate.results import Study
    from ablate.statistics import Verdict

_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", MINUS: "$-$", DASH: "--"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"} | {"±": r"$\pm$"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~$])")
Verdicts = Mapping[str, Sequence["Verdict"]]


def markdown_of(study: "Study", verdicts: Verdicts) -> str:
    """A pipe table a number, with every seed's value."""
    parts = [f"# {markdown_text(study.name)}"]
    if study.hypothesis:
        parts.append(f"> {markdown_text(study.hypothesis)}")
    for board in boards(study, verdicts):
        heads = _heads(board)
        lines = [pipes(heads), pipes(["---", *("---:" for _ in heads[1:])])]
        lines += [pipes([markdown_text(cell) for cell in _cells(row, board)]) for row in board.rows]
        if known(board.teacher):
            lines.append(pipes(["teacher", percent(board.teacher), *("" for _ in heads[2:])]))
        parts.append(f"## {markdown_text(metric_name(board.metric))}\n\n" + "\n".join(lines))
    parts += [f"Cache {markdown_text(path)}: manifest {markdown_text(digest)}" for path, digest in study.caches.items()]
    return "\n\n".join(parts) + "\n"


def latex_of(study: "Study", verdicts: Verdicts) -> str:
    r"""A `table` a number; needs `\usepackage{booktabs}`."""
    tables = []
    for board in boards(study, verdicts):
        heads = _heads(board)
        body = [" & ".join(_latex(cell) for cell in _cells(row, board)) + r" \\" for row in board.rows]
        if known(board.teacher):
            last = " & ".join(["teacher", percent(board.teacher), *("" for _ in heads[2:])])
            body += [r"\midrule", f"{last} \\\\"]
        lines = [r"\begin{table}", r"\centering", f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", r"\toprule"]
        lines += [" & ".join(_latex(head) for head in heads) + r" \\", r"\midrule", *body, r"\bottomrule"]
        caption = _latex(f"{study.name}: {metric_name(board.metric)}")
        lines += [r"\end{tabular}", f"\\caption{{{caption}}}", r"\end{table}"]
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


def csv_of(study: "Study") -> str:
    """Every raw value: a line a run, fractions as they were measured; what is not known is an empty cell."""
    axes = list(dict.fromkeys(key for run in study.runs for key in run.axes))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = [
        "point",
        "case",
        *axes,
        "seed",
        "status",
        *study.metrics,
        "parameters",
        "macs",
        "faces_per_second",
        "seconds",
    ]
    _write(writer, [*heads, "folder", "command"])
    for run in study.runs:
        student = run.student
        _write(
            writer,
            [
                *(run.point, run.case, *(run.axes.get(key, "") for key in axes), run.seed, run.status),
                *(run.metrics.get(metric, "") for metric in study.metrics),
                *((student.parameters, student.macs) if student else ("", "")),
                *("" if number is None else number for number in (run.faces_per_second, run.seconds)),
                *(f"{run.folder}", run.command),
            ],
        )
    return file.getvalue()


def pipes(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """A name as Markdown shows it, whatever is in it."""
    return _MARKDOWN.sub(r"\\\1", printable(text))


def _heads(board: Board) -> list[str]:
    compared = ["difference", "95 % interval", "p (Holm)", "verdict"] if _compared(board) else []
    return ["point", "mean %", "± s.e.", "each seed", *compared, "params M", "MACs M", "faces/s", "training"]


def _cells(row: Row, board: Board) -> list[str]:
    verdict = row.verdict
    cells = [row.point, percent(row.mean), percent(row.error) if known(row.error) else ""]
    cells.append(", ".join(percent(value) for _, value in row.values))
    if verdict is not None:
        p = probability(verdict.p_holm)
        cells += [points(verdict.difference), interval(verdict.low, verdict.high), p, verdict.word]
    elif _compared(board):
        cells += ["", "", "", "baseline" if row.is_baseline else ""]
    pace = f"{row.pace:,.0f}" if row.pace is not None else DASH
    training = duration_text(row.seconds) if row.seconds is not None else DASH
    return [*cells, millions(row.parameters), millions(row.macs), pace, training]


def _compared(board: Board) -> bool:
    return any(row.verdict is not None for row in board.rows)


def _write(writer: Any, cells: Iterable[Any]) -> None:
    writer.writerow([csv_cell(cell if isinstance(cell, int | float) else str(cell)) for cell in cells])


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in printable(text))
