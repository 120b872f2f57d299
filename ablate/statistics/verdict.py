"""What a table may say of a recipe: better than the baseline, worse, or not told apart, by a rule fixed beforehand.

With two seeds or more of both it is the seeds that decide; the spread over pairs stands beside them. With one seed of
either only the pairs can be spoken of, and the verdict is one on these students, not on their recipes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ablate.results import Run, Study, pair_scores
from ablate.statistics.difference import Difference
from ablate.statistics.holm import holm
from ablate.statistics.paired import OnSamePairs
from ablate.statistics.seeds import difference_over_seeds
from common.errors import DataError

Word = Literal["better", "worse", "not told apart"]
_NOT_KNOWN = float("nan")
_OVER_PAIRS = re.compile(r"(?P<set>.+?)\.(accuracy|tar(@|_at_far\.|_at_most_far\.)(?P<far>[\d.e+-]+?)(\.tar)?)")


@dataclass(frozen=True)
class Verdict:
    """A point against the baseline in one metric (SET.METRIC). Numbers are those of the spread that decides: `over`,
    None where there is none, and then low to smallest_shown are NaN and `note` says why. over_pairs: the spread over
    pairs or people of the set, of these very students, where their scores are kept; it never mixes with the seeds'."""

    point: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    smallest_shown: float
    word: Word
    over: Literal["seeds", "pairs", "people"] | None = "seeds"
    test: str = ""
    over_pairs: Difference | None = None
    note: str = ""


def lower_is_better(metric: str) -> bool:
    """Whether SET.METRIC is an error rate."""
    return metric.rpartition(".")[2] in ("eer", "frr", "fnir")


def verdicts(study: Study, metric: str) -> list[Verdict]:
    """One for each point of a study that has a number, in its order; none where the baseline has none.

    Reads the scores of pairs that evaluations kept. The family that Holm's correction is over are these points.
    """
    runs_of: dict[str, list[Run]] = {}
    for run in study.runs:
        if run.status == "done" and metric in run.metrics:
            runs_of.setdefault(run.point, []).append(run)
    baseline = runs_of.pop(study.baseline, [])
    if not baseline:
        return []
    scores = _scores([run for runs in (baseline, *runs_of.values()) for run in runs], metric)
    found = [_compare(runs, baseline, metric, scores, len(runs_of)) for runs in runs_of.values()]
    deciding = _corrected([over_seeds or over_pairs for over_seeds, over_pairs in found])
    beside = _corrected([over_pairs for _, over_pairs in found])
    return [
        _verdict(runs, baseline, metric, decides, over_pairs, scores)
        for runs, decides, over_pairs in zip(runs_of.values(), deciding, beside, strict=True)
    ]


@dataclass(frozen=True)
class _Scores:
    """Students on the same pairs, the row of each run there, and why runs have none."""

    students: OnSamePairs | None = None
    row_of: Mapping[Path, int] = field(default_factory=dict)
    missing: Mapping[Path, str] = field(default_factory=dict)

    def rows(self, runs: Sequence[Run]) -> list[int] | None:
        return [self.row_of[run.folder] for run in runs] if all(run.folder in self.row_of for run in runs) else None


def _scores(runs: Sequence[Run], metric: str) -> _Scores:
    name = _OVER_PAIRS.fullmatch(metric)
    if name is None:
        return _Scores(missing={run.folder: "this number has no spread over pairs" for run in runs})
    known, missing = {}, {}
    for run in runs:
        try:
            known[run.folder] = pair_scores(run, name["set"])
        except DataError as error:
            missing[run.folder] = f"{error}"
    if not known:
        return _Scores(missing=missing)
    first = next(iter(known.values()))
    for folder in [folder for folder, pairs in known.items() if not np.array_equal(pairs.issame, first.issame)]:
        missing[folder] = f"{folder}: evaluated on other pairs of {name['set']}; evaluate again"
        del known[folder]
    people = None
    if first.people_a is not None and first.people_b is not None:
        people = np.stack([first.people_a, first.people_b], axis=1)
    scores = np.stack([pairs.scores for pairs in known.values()])
    far = float(name["far"]) if name["far"] else None
    students = OnSamePairs(scores, first.issame, people, far)
    return _Scores(students, {folder: row for row, folder in enumerate(known)}, missing)


def _compare(
    runs: Sequence[Run], baseline: Sequence[Run], metric: str, scores: _Scores, cases: int
) -> tuple[Difference | None, Difference | None]:
    """Over seeds and over pairs, where either can be told."""
    ours, theirs = ([run.metrics[metric] for run in group] for group in (runs, baseline))
    rows, rows_of_baseline = scores.rows(runs), scores.rows(baseline)
    over_pairs = None
    if scores.students is not None and rows is not None and rows_of_baseline is not None:
        difference = float(np.mean(ours) - np.mean(theirs))
        over_pairs = scores.students.compare(rows, rows_of_baseline, cases, difference)
    return difference_over_seeds(ours, theirs, cases), over_pairs


def _corrected(differences: Sequence[Difference | None]) -> list[Difference | None]:
    known = [place for place, difference in enumerate(differences) if difference is not None]
    corrected = list(differences)
    p_holm = holm(np.array([difference.p for difference in differences if difference is not None]))
    for place, p in zip(known, p_holm.tolist(), strict=True):
        difference = differences[place]
        assert difference is not None
        corrected[place] = replace(difference, p_holm=p)
    return corrected


def _verdict(
    runs: Sequence[Run],
    baseline: Sequence[Run],
    metric: str,
    decides: Difference | None,
    over_pairs: Difference | None,
    scores: _Scores,
) -> Verdict:
    difference = float(np.mean([run.metrics[metric] for run in runs]))
    difference -= float(np.mean([run.metrics[metric] for run in baseline]))
    word: Word = "not told apart"
    if decides is not None and decides.told_apart:
        word = "better" if (difference > 0) != lower_is_better(metric) else "worse"
    return Verdict(
        point=runs[0].point,
        metric=metric,
        difference=difference,
        low=decides.low if decides else _NOT_KNOWN,
        high=decides.high if decides else _NOT_KNOWN,
        p=decides.p if decides else _NOT_KNOWN,
        p_holm=decides.p_holm if decides else _NOT_KNOWN,
        smallest_shown=decides.smallest_shown if decides else _NOT_KNOWN,
        word=word,
        over=decides.over if decides else None,
        test=decides.test if decides else "",
        over_pairs=over_pairs,
        note=_note(runs, baseline, decides, scores),
    )


def _note(runs: Sequence[Run], baseline: Sequence[Run], decides: Difference | None, scores: _Scores) -> str:
    """What a reader must know of a verdict that seeds did not decide; empty where they did."""
    if decides is not None and decides.over == "seeds":
        return ""
    few = min(len(runs), len(baseline)) < 2
    why = "one seed" if few else "the seeds show no spread"
    if decides is not None:
        return f"{why}: holds for these students, not for another training of their recipes"
    reasons = [scores.missing[run.folder] for run in (*baseline, *runs) if run.folder in scores.missing]
    return f"{why}, and {reasons[0] if reasons else 'no drawn set of pairs changes the difference'}"
