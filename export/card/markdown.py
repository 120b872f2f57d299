"""Text from outside (names of experiments, sets, files; licences) in a Markdown page: shown as it is, never obeyed.

Whatever Markdown or HTML would take for a sign of its own becomes a numeric entity, which neither takes for one.
"""

import re
from collections.abc import Iterable, Sequence

from common.text import printable

_SIGNS = re.compile(r"[&<>|`*~\[\]\\#!${}@^\"]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_LINE_START = re.compile(r"[-+>=\d]")


def plain(value: object) -> str:
    """A value in the middle of a line, or in a cell of a table."""
    shown = printable(value).strip()
    encoded = _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", shown)
    if _LINE_START.match(encoded) and not encoded[0].isdigit():  # a list, a heading's underline
        encoded = f"&#{ord(encoded[0])};{encoded[1:]}"
    return encoded


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain cells; an empty text where there is no row."""
    lines = ["| " + " | ".join(map(plain, row)) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(map(plain, headings)) + " |", "|" + "---|" * len(headings), *lines])


def fenced(text: str, language: str) -> str:
    """A block of code that ends where we end it, whatever it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *map(printable, text.rstrip("\n").split("\n")), fence])
