"""The margin's scaler at the end of training, a histogram a point: does it tell samples apart, or stand at a bound?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from common.documents import read_regular
from common.errors import UserError
from distill.histograms import BINS, histograms

if TYPE_CHECKING:
    from ablate.results import Study

WIDTH, HEIGHT = 200, 60
_LARGEST = 1 << 28
_LINE = TypeAdapter(dict[str, float | None])


@dataclass(frozen=True)
class Scaler:
    """Shares of the last log line, mean over a point's seeds, in BINS equal parts of -1..1."""

    point: str
    number: int
    shares: list[float]

    @property
    def top(self) -> float:
        """Share in the part below 1."""
        return self.shares[-1]

    def bars(self) -> list[tuple[float, float, float, float]]:
        """(x, y, width, height) of each part; the highest bar has the whole height."""
        width, highest = WIDTH / BINS, max(self.shares) or 1.0
        tall = [round(HEIGHT * share / highest, 1) for share in self.shares]
        return [
            (round(place * width + 0.5, 1), round(HEIGHT - high, 1), round(width - 1, 1), high)
            for place, high in enumerate(tall)
        ]


def scalers(study: "Study") -> list[Scaler]:
    """One a point whose runs have said their scaler, in the order of points."""
    drawn = []
    for number, point in enumerate(study.points):
        runs = [run for run in study.runs if run.point == point and run.status == "done"]
        found = [shares for run in runs if (shares := _last(run.folder / "metrics.jsonl")) is not None]
        if found:
            drawn.append(Scaler(point, number, [sum(part) / len(found) for part in zip(*found, strict=True)]))
    return drawn


def _last(path: Path) -> list[float] | None:
    """Of the last line that has one; None for curves that are not there or damaged."""
    try:
        lines = read_regular(path, largest=_LARGEST).splitlines()
    except UserError:
        return None
    for line in reversed(lines):
        try:
            found = histograms(_LINE.validate_json(line)).get("margin_scaler")
        except (ValidationError, RecursionError):
            continue
        if found is not None:
            return found
    return None
