"""Tables of numbers that fit 80 columns whatever the names: wide where they fit, else turned and cut into blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from common.text import WIDTH, printable


@dataclass(frozen=True)
class Row:
    """Numbers under the names of what they belong to, such as a model and a set."""

    names: tuple[str, ...]
    numbers: Mapping[str, str]  # by heading


@dataclass(frozen=True)
class Grid:
    """A table to be laid out. `legend` explains the headings."""

    title: str
    kinds: tuple[str, ...]  # what the names are called
    headings: tuple[str, ...]
    rows: Sequence[Row]
    legend: str


def lay_out(grid: Grid, width: int = WIDTH) -> RenderableType:
    """The table within `width` columns, names first and whole.

    A line a row if that fits. If not, blocks: what the rows of one share is in its heading, each row becomes a column
    under its last name, and the numbers run downwards.
    """
    wide = _wide(grid)
    fits = _natural_width(wide) <= width
    shown: list[RenderableType] = [wide, Text("")] if fits else _blocks(grid, width)
    return Group(Text(grid.title, "bold"), *shown, Text(grid.legend, "dim"), Text(""))


def _wide(grid: Grid) -> Table:
    table = _empty(grid.kinds, grid.headings)
    for row in grid.rows:
        table.add_row(*map(name_cell, row.names), *(row.numbers.get(heading, "") for heading in grid.headings))
    return table


def _blocks(grid: Grid, width: int) -> list[RenderableType]:
    rows, kinds = _turned(grid)
    parts: list[RenderableType] = []
    for shared, block in groupby(rows, key=lambda row: row.names[:-1]):
        left = list(block)
        while left:
            most = next((n for n in range(len(left), 1, -1) if _fits(grid, kinds, left[:n], width)), 1)
            heading = ", ".join(f"{kind} {printable(name)}" for kind, name in zip(kinds, shared, strict=False))
            parts += [Text(heading, "bold")] if shared else []
            parts += [_columns(grid, kinds, left[:most]), Text("")]
            left = left[most:]
    return parts


def _turned(grid: Grid) -> tuple[list[Row], tuple[str, ...]]:
    """The rows with that name last that tells most of them apart, and rows of one block together."""
    if len(grid.kinds) == 2 and len({row.names[1] for row in grid.rows}) == 1 < len(grid.rows):
        return [replace(row, names=row.names[::-1]) for row in grid.rows], grid.kinds[::-1]
    return list(grid.rows), grid.kinds


def _columns(grid: Grid, kinds: tuple[str, ...], rows: Sequence[Row]) -> Table:
    table = _empty([kinds[-1]], [row.names[-1] for row in rows])
    for heading in grid.headings:
        if any(row.numbers.get(heading) for row in rows):
            table.add_row(name_cell(heading), *(row.numbers.get(heading, "") for row in rows))
    return table


def _fits(grid: Grid, kinds: tuple[str, ...], rows: Sequence[Row], width: int) -> bool:
    return _natural_width(_columns(grid, kinds, rows)) <= width


def _natural_width(table: Table) -> int:
    console = Console(width=10_000)
    return console.measure(table).maximum


def _empty(names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        table.add_column(name_cell(name), overflow="fold")
    for heading in numbers:
        table.add_column(name_cell(heading), justify="right", overflow="fold")
    return table


def name_cell(name: str) -> Text:
    """A name from outside as a cell or heading: shown as it is, nothing in it obeyed as markup or by the terminal."""
    return Text(printable(name))
