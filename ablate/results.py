"""What the finished runs of an ablation say: the study that statistics and the page are made of."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from ablate.caches import caches_of
from ablate.commands import command_of
from ablate.points import Expansion, PlannedRun, changes_text, expand, read_ablation
from ablate.records import (
    CLAIMS,
    Report,
    evaluation_of,
    failure_of,
    failure_text,
    finished,
    rates,
    read_report,
    read_summary,
)
from ablate.student import Student, student_of
from cache.format import read_manifest
from common.config import Config
from common.documents import parse_document
from common.errors import DataError, UserError
from common.writers import claimed_parts, workers_of
from evaluate.report import PairScores, pair_path, read_pairs

Status = Literal["done", "failed", "running", "waiting"]


class CurveLine(BaseModel):
    """A line of metrics.jsonl, as far as it is read."""

    faces_per_second: float | None = None


@dataclass(frozen=True)
class Run:
    """One run. metrics: every number of the last step's student as SET.METRIC, fractions; best: those of the best
    checkpoint by train.best_by, where the recipe has one. seconds: of training; faces_per_second: the median of its log
    lines. failure: why the last attempt ended. changes: what the point changes of the experiment.
    computed_with: device, threads and versions of a finished training."""

    point: str
    case: str
    axes: Mapping[str, Any]
    seed: int
    folder: Path
    config: Config
    status: Status
    failure: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    faces_per_second: float | None = None
    student: Student | None = None
    changes: str = "-"
    command: str = ""
    computed_with: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """An ablation and its runs, in order of seeds and then points. metrics: the compared numbers, SET.METRIC.

    teacher: the same numbers of the baseline's teacher, None where it was not measured. caches: path -> digest of the
    sealed manifest. notes: points that were left out or are the same as others. commands: those that make all of it.
    files: those that say what it is, path -> text, the ablation's first.
    """

    name: str
    hypothesis: str
    baseline: str
    metrics: Sequence[str]
    runs: Sequence[Run]
    teacher: Mapping[str, float | None]
    caches: Mapping[str, str]
    commands: Sequence[str]
    notes: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def points(self) -> list[str]:
        """Names of the points, in order."""
        return list(dict.fromkeys(run.point for run in self.runs))


def collect(path: str | Path, root: Path, overrides: Iterable[str] = (), ranks: int = 1) -> Study:
    """Read what the runs of an ablation, or of a plain experiment file, have left so far; nothing is computed.

    overrides, ranks: as the runs were started with. Raises ConfigError for the file, DataError for a damaged report.
    """
    overrides = tuple(overrides)
    ablation = read_ablation(path, overrides)
    expansion = expand(ablation, ranks)
    commands = [command_of(ablation, run, root, overrides, ranks) for run in expansion.runs]
    metrics = ablation.section.metrics if ablation.section is not None else ()
    study = study_of(ablation.name, ablation.hypothesis, expansion, commands, metrics)
    return replace(study, files={f"{file.path}": file.text for file in ablation.written.files})


def study_of(
    name: str, hypothesis: str, expansion: Expansion, commands: Sequence[str], metrics: Sequence[str] = ()
) -> Study:
    """What these runs have left so far. commands: one a run. metrics: the numbers compared, else the first number of
    every set. Raises DataError for a damaged report."""
    reports = {run.config.name: read_report(run.config) for run in expansion.runs}
    metrics = list(metrics) or _first_numbers([report for report in reports.values() if report is not None])
    busy = _busy()
    found = [
        _run(run, reports[run.config.name], metrics, busy, command)
        for run, command in zip(expansion.runs, commands, strict=True)
    ]
    ordered = sorted(expansion.runs, key=lambda run: run.point != expansion.baseline)
    teachers = [numbers for run in ordered if (numbers := _teacher(reports[run.config.name], metrics))]
    return Study(
        name=name,
        hypothesis=hypothesis,
        baseline=expansion.baseline,
        metrics=metrics,
        runs=found,
        teacher={metric: teachers[0].get(metric) if teachers else None for metric in metrics},
        caches=_caches(expansion.runs),
        commands=commands,
        notes=expansion.notes,
    )


def pair_scores(run: Run, set_name: str, best: bool = False) -> PairScores:
    """The scores of every pair of a verification set by a run's student. Raises DataError where they are not kept."""
    model = f"{run.config.name} (best)" if best else run.config.name
    return read_pairs(pair_path(evaluation_of(run.config), set_name, model))


def _run(run: PlannedRun, report: Report | None, metrics: Sequence[str], busy: Mapping[str, str], command: str) -> Run:
    config, folder = run.config, run.config.run_dir
    by_model = report.results if report is not None and finished(config) else {}
    last, best = (_numbers(by_model.get(name, {}), metrics) for name in (config.name, f"{config.name} (best)"))
    failure = failure_of(folder)
    took = read_summary(config) if finished(config) else None
    status: Status = "done" if last else "failed" if failure else "running" if run.key in busy else "waiting"
    return Run(
        point=run.point,
        case=run.case,
        axes=run.axes,
        seed=run.seed,
        folder=folder,
        config=config,
        status=status,
        failure=failure_text(failure) if status == "failed" else "",
        metrics=last,
        best=best,
        seconds=took.seconds if took is not None else None,
        faces_per_second=_pace(folder / "metrics.jsonl"),
        student=_student(config),
        changes=changes_text(run.changes),
        command=command,
        computed_with=took.computed_with if took is not None else {},
    )


def _numbers(sets: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, float]:
    numbers = dict(pair for name, summary in sets.items() for pair in rates(name, summary))
    for metric in metrics:
        if metric not in numbers and (value := _rate_at(numbers, metric)) is not None:
            numbers[metric] = value
    return numbers


def _rate_at(numbers: Mapping[str, float], metric: str) -> float | None:
    """`SET.tar@1e-2` is `SET.tar_at_far.0.01.tar`; `tpir@` and `rank@` alike."""
    what, at, place = metric.rpartition("@")
    spelled = re.compile(rf"{re.escape(what)}(_at_f\w+)?\.([\d.e+-]+?)(\.tar)?")
    for key, value in numbers.items():
        match = spelled.fullmatch(key) if at else None
        if match and _number(match[2]) == _number(place) is not None:
            return value
    return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _first_numbers(reports: Sequence[Report]) -> list[str]:
    """The first number of every set, which is its protocol's own."""
    sets = {name: summary for report in reports for of in report.results.values() for name, summary in of.items()}
    firsts = {name: next((key for key, _ in rates(name, summary)), None) for name, summary in sets.items()}
    return [key for key in firsts.values() if key is not None]


def _teacher(report: Report | None, metrics: Sequence[str]) -> dict[str, float]:
    sets = next((sets for name, sets in report.results.items() if name.endswith(" (teacher)")), {}) if report else {}
    return _numbers(sets, metrics)


def _pace(curves: Path) -> float | None:
    try:
        lines = curves.read_bytes().splitlines()
    except OSError:
        return None
    paces = []
    for line in lines:
        try:
            paces.append(parse_document(line, CurveLine, f"{curves}", DataError, "").faces_per_second)
        except DataError:  # the line that a kill cut
            continue
    known = [pace for pace in paces if pace is not None]
    return statistics.median(known) if known else None


def _student(config: Config) -> Student | None:
    try:
        return student_of(config.student.network, config.student.embedding_size)
    except UserError:
        return None


def _caches(runs: Sequence[PlannedRun]) -> dict[str, str]:
    digests = {}
    for path in dict.fromkeys(path for run in runs for path in caches_of(run.config)):
        try:
            sealed = read_manifest(Path(path))["sealed"]
        except UserError:
            continue
        if sealed:
            digests[path] = sealed["manifest"]
    return digests


def _busy() -> dict[str, str]:
    """Claimed run, by its digest -> the process that has it, where that lives."""
    alive = workers_of(CLAIMS)
    return {part: f"{alive[owner]}" for part, owner in claimed_parts(CLAIMS).items() if owner in alive}
