"""The spread over seeds: what another training of the same recipe would have given, on the same set."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t, ttest_ind

from ablate.statistics.difference import LEVEL, Difference
from ablate.statistics.power import smallest_over_seeds


@dataclass(frozen=True)
class OverSeeds:
    """A number over n runs. error: the standard error of the mean; low, high: the mean's 95 % interval by Student's t.
    All three are None for a single run, which shows no spread."""

    values: tuple[float, ...]
    mean: float
    error: float | None
    low: float | None
    high: float | None

    @property
    def n(self) -> int:
        """How many runs."""
        return len(self.values)


def over_seeds(values: Sequence[float]) -> OverSeeds:
    """Sum up one number of n >= 1 runs that differ in their seed."""
    rates = np.asarray(values, np.float64)
    mean = float(rates.mean())
    if len(rates) == 1:
        return OverSeeds((mean,), mean, None, None, None)
    error = float(rates.std(ddof=1) / np.sqrt(len(rates)))
    half = float(t.isf(LEVEL / 2, len(rates) - 1)) * error
    return OverSeeds(tuple(rates.tolist()), mean, error, mean - half, mean + half)


def welch(values: np.ndarray, baseline: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """p, low and high of mean difference `values` - `baseline`, (...) each, from seeds on the last axes (..., n >= 2).

    Two-sided; the interval holds 95 %. Source: Welch, "The generalization of Student's problem when several different
    population variances are involved", 1947. Why not paired by seed: docs/ablations.md.
    """
    with warnings.catch_warnings():
        # Of a recipe whose seeds all gave the same: its spread is zero, and known to be.
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        test = ttest_ind(values, baseline, axis=-1, equal_var=False)
    interval = test.confidence_interval(1 - LEVEL)
    return test.pvalue, interval.low, interval.high


def difference_over_seeds(values: Sequence[float], baseline: Sequence[float], cases: int = 1) -> Difference | None:
    """The difference of two recipes from their runs; `cases` comparisons share the table.

    None where the seeds show no spread: fewer than two runs of either, or all of each the same to the last bit.
    """
    ours, theirs = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if min(len(ours), len(theirs)) < 2 or (np.ptp(ours) == 0 and np.ptp(theirs) == 0):
        return None
    p, low, high = welch(ours, theirs)
    return Difference(
        over="seeds",
        difference=float(ours.mean() - theirs.mean()),
        low=float(low),
        high=float(high),
        p=float(p),
        smallest_shown=smallest_over_seeds(
            float(ours.std(ddof=1)), len(ours), float(theirs.std(ddof=1)), len(theirs), LEVEL / cases
        ),
        test=f"Welch's t test, {len(ours)} and {len(theirs)} seeds",
    )
