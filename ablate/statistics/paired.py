"""The spread over pairs or people of a set: what another set of the same kind would have said of the same students."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from ablate.statistics.difference import LEVEL, Difference
from ablate.statistics.power import smallest_over_pairs
from ablate.statistics.rates import weighted_accuracy, weighted_tar
from ablate.statistics.resampling import RESAMPLES, Resampled


class OnSamePairs:
    """R students on the same pairs, ready for comparisons of any two groups of them."""

    def __init__(
        self,
        scores: np.ndarray,
        issame: np.ndarray,
        people: np.ndarray | None,
        far: float | None,
        sets: int = RESAMPLES,
    ) -> None:
        """scores: float64 (R,P), cosines; issame: bool (P,); people: int (P,2), None where nobody knows; far: compare
        the TAR at this FAR, None for accuracy. sets: drawn."""
        rates = [weighted_accuracy(row, issame) if far is None else weighted_tar(row, issame, far) for row in scores]
        left = [weighted_accuracy(row, issame, anew=False) for row in scores] if far is None else None
        self._measured = np.array([rate(np.ones((len(issame), 1), np.int16))[0] for rate in rates])
        self._resampled = Resampled(rates, len(issame), people, left, sets)

    def compare(
        self, ours: Sequence[int], baseline: Sequence[int], cases: int = 1, measured: float | None = None
    ) -> Difference | None:
        """Mean rate of students `ours` less that of students `baseline`; `cases` comparisons share the table.

        measured: the same difference as the evaluation has it, which the interval is then laid around (a TAR at the
        nearest FAR is another reading of the curve than the one resampled). None where no drawn set changes a
        difference that is not zero: then the set shows no spread.
        """
        mixture = np.zeros(len(self._measured))
        mixture[list(ours)], mixture[list(baseline)] = 1 / len(ours), -1 / len(baseline)
        difference = float(mixture @ self._measured) if measured is None else measured
        error, freedom = self._resampled.error(mixture), self._resampled.units - 1
        if error == 0 and difference != 0:
            return None
        over_people = self._resampled.over_people
        half = float(t.isf(LEVEL / 2, freedom)) * error
        return Difference(
            over="people" if over_people else "pairs",
            difference=difference,
            low=difference - half,
            high=difference + half,
            p=float(2 * t.sf(abs(difference) / error, freedom)) if error else 1.0,
            smallest_shown=smallest_over_pairs(error, freedom, LEVEL / cases),
            test=f"paired bootstrap of {self._resampled.units:,} {'people' if over_people else 'pairs'}",
        )
