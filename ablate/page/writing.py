"""Write what a study says, in the formats asked for."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

from ablate.page.html import html_of
from ablate.page.record import record_of
from ablate.page.tables import csv_of, latex_of, markdown_of
from common.files import replacing

if TYPE_CHECKING:
    from ablate.results import Study
    from ablate.statistics import Verdict

Format = Literal["html", "md", "csv", "tex", "record"]


def write_page(
    study: "Study", judged: "Iterable[Verdict]", folder: Path, formats: Sequence[Format] = ("html",), command: str = ""
) -> list[Path]:
    """Write folder/report.FORMAT for every format, of a record folder/record.md; the files. Atomic.

    judged: verdicts of all numbers. command: what makes the page, which it shows.
    """
    verdicts: dict[str, list[Verdict]] = {metric: [] for metric in study.metrics}
    for verdict in judged:
        verdicts.setdefault(verdict.metric, []).append(verdict)
    written = []
    for form in formats:
        path = folder / ("record.md" if form == "record" else f"report.{form}")
        match form:
            case "html":
                text = html_of(study, verdicts, path, command)
            case "md":
                text = markdown_of(study, verdicts)
            case "csv":
                text = csv_of(study)
            case "tex":
                text = latex_of(study, verdicts)
            case "record":
                text = record_of(study, verdicts, command)
            case _:
                assert_never(form)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        written.append(path)
    return written
