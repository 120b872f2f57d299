"""The rows of a study's leaderboard: a point each, with the value of every seed, what it costs, and its verdict."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from ablate.statistics import lower_is_better

if TYPE_CHECKING:
    from ablate.results import Run, Study
    from ablate.statistics import Verdict


@dataclass(frozen=True)
class Row:
    """A point by one number. values: (seed, fraction) of its finished runs; error: the standard error of their mean,
    None for one seed. parameters, macs: of the student; pace: faces a second in training, seconds: of one training,
    both means over seeds. number: the point's place in the study, by which it has its colour."""

    point: str
    number: int
    is_baseline: bool
    changes: str
    values: Sequence[tuple[int, float]]
    mean: float | None
    error: float | None
    verdict: "Verdict | None"
    parameters: int | None
    macs: int | None
    pace: float | None
    seconds: float | None


@dataclass(frozen=True)
class Board:
    """The leaderboard of one number, best point first; those without a value last. teacher: the teacher's number."""

    metric: str
    rows: Sequence[Row]
    teacher: float | None


def boards(study: "Study", verdicts: Mapping[str, Sequence["Verdict"]]) -> list[Board]:
    """A board a number of the study; verdicts: by metric."""
    return [_board(study, metric, verdicts.get(metric, ())) for metric in study.metrics]


def _board(study: "Study", metric: str, verdicts: Iterable["Verdict"]) -> Board:
    by_point = {verdict.point: verdict for verdict in verdicts}
    runs_of: dict[str, list[Run]] = {}
    for run in study.runs:
        runs_of.setdefault(run.point, []).append(run)
    rows = [
        _row(point, number, runs, metric, point == study.baseline, by_point.get(point))
        for number, (point, runs) in enumerate(runs_of.items())
    ]
    sign = 1 if lower_is_better(metric) else -1
    rows.sort(key=lambda row: (row.mean is None, sign * (row.mean or 0)))
    return Board(metric, rows, study.teacher.get(metric))


def _row(
    point: str, number: int, runs: Sequence["Run"], metric: str, is_baseline: bool, verdict: "Verdict | None"
) -> Row:
    values = [(run.seed, run.metrics[metric]) for run in runs if run.status == "done" and metric in run.metrics]
    rates = [value for _, value in values]
    student = next((run.student for run in runs if run.student is not None), None)
    return Row(
        point=point,
        number=number,
        is_baseline=is_baseline,
        changes=runs[0].changes,
        values=values,
        mean=fmean(rates) if rates else None,
        error=stdev(rates) / len(rates) ** 0.5 if len(rates) > 1 else None,
        verdict=verdict,
        parameters=student.parameters if student else None,
        macs=student.macs if student else None,
        pace=_mean(run.faces_per_second for run in runs),
        seconds=_mean(run.seconds for run in runs),
    )


def _mean(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return fmean(known) if known else None
