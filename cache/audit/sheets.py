"""Contact sheets of stored samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common import contact_sheets
from common.faces import FaceSource


class Cell(NamedTuple):
    """A face as stored, and up to three lines under it. Sample -1 draws no face."""

    sample: int
    text: str


def contact_sheet(source: FaceSource, groups: Sequence[Sequence[Cell]], png: Path, title: str, columns: int) -> None:
    """Draw groups of faces, `columns` groups a line; a group's faces touch, groups stand apart."""
    drawn = [
        [contact_sheets.Cell(source.rgb(cell.sample) if cell.sample >= 0 else None, cell.text) for cell in group]
        for group in groups
    ]
    contact_sheets.contact_sheet([contact_sheets.Section(title, drawn)], png, columns)
