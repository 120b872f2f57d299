"""Pairs, or the people on them, drawn anew with replacement: weights that say how often each pair is in.

A draw with replacement is nearly a Poisson count of mean 1 for everyone, which is what is drawn here (the Poisson
bootstrap): independent counts need no second look at the rest. Rates divide by the weight there is, so its total may
vary.

People who are on several pairs make these pairs alike, and intervals that know only pairs too narrow. Drawing people,
an impostor pair (a, b) is in count(a) x count(b) times, a genuine pair of a count(a) times. That counts the spread of
an impostor pair itself three times (once with a, once with b, once with both), where it belongs once; so twice the
spread of drawing these pairs alone is taken off. Sources: Owen, "The pigeonhole bootstrap", 2007; Cameron, Gelbach and
Miller, "Robust inference with multiway clustering", 2011 (adding and taking off); Aronow, Samii and Assenova,
"Cluster-robust variance estimation for dyadic data", 2015 (pairs of one pool of people).
"""

from collections.abc import Callable, Sequence

import numpy as np

from ablate.statistics.rates import WeightedRate

RESAMPLES = 2000
"""Sets drawn; the standard error from so many is itself uncertain by 1.6 %."""
# Weights of so many sets are held at once: 6,000 pairs x 128 int16 are 1.5 MB.
_AT_ONCE = 128

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""How many sets -> weights (P, B), int16."""


def draw_pairs(pairs: int) -> Draw:
    """Each pair for itself."""
    return lambda rng, sets: rng.poisson(1.0, (pairs, sets)).astype(np.int16)


def draw_people(people: np.ndarray) -> Draw:
    """People (P,2), int, and with them their pairs: genuine where both are one, else of two people."""
    everyone, numbers = np.unique(people, return_inverse=True)
    numbers = numbers.reshape(people.shape)
    return lambda rng, sets: weights_of(numbers, rng.poisson(1.0, (len(everyone), sets)))


def weights_of(people: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights (P, B), int16, of pairs of people (P,2), who are in counts (N, B) times."""
    first, second = people.T
    counts = counts.astype(np.int16)
    weights: np.ndarray = np.where((first == second)[:, None], counts[first], counts[first] * counts[second])
    return weights


def draw_impostors(people: np.ndarray) -> Draw:
    """Only impostor pairs, those of the same two people (P,2) together; genuine pairs are in once."""
    impostor = people[:, 0] != people[:, 1]
    _, couple = np.unique(np.sort(people[impostor], axis=1), axis=0, return_inverse=True)
    couple = couple.reshape(-1)

    def draw(rng: np.random.Generator, sets: int) -> np.ndarray:
        weights = np.ones((len(people), sets), np.int16)
        weights[impostor] = rng.poisson(1.0, (couple.max(initial=-1) + 1, sets)).astype(np.int16)[couple]
        return weights

    return draw


def somebody_repeats(people: np.ndarray) -> bool:
    """Whether anybody of people (P,2) is on more than one pair."""
    on_pair = np.concatenate([people[:, 0], people[people[:, 0] != people[:, 1], 1]])
    return len(np.unique(on_pair)) < len(on_pair)


def resample(rates: Sequence[WeightedRate], draw: Draw, sets: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Rates (R, sets), float64, of R models on the same drawn sets."""
    rng = np.random.default_rng(seed)
    drawn = (draw(rng, min(_AT_ONCE, sets - start)) for start in range(0, sets, _AT_ONCE))
    return np.concatenate([np.stack([rate(weights) for rate in rates]) for weights in drawn], axis=1)


class Resampled:
    """R models on sets drawn by pairs, or by people where these repeat: the error of any mixture of their rates."""

    def __init__(
        self,
        rates: Sequence[WeightedRate],
        pairs: int,
        people: np.ndarray | None,
        left: Sequence[WeightedRate] | None = None,
        sets: int = RESAMPLES,
    ) -> None:
        """rates: of R models; people: int (P,2) of the P pairs, None where nobody knows. left: the same rates with
        thresholds that are left where they were, for those whose choice would count double (docs/ablations.md)."""
        steady = rates if left is None else left
        self.over_people = people is not None and somebody_repeats(people)
        self.units = pairs
        self._by_pairs = resample(steady, draw_pairs(pairs), sets)
        self._chosen_anew = None if left is None else resample(rates, draw_pairs(pairs), sets)
        if people is not None and self.over_people:
            self.units = len(np.unique(people))
            self._by_people = resample(steady, draw_people(people), sets)
            self._by_impostors = resample(steady, draw_impostors(people), sets)

    def error(self, mixture: np.ndarray) -> float:
        """Standard error of `mixture` (R,) of the rates, such as one's less another's: never below that of pairs drawn
        each for itself."""
        of_pairs = variance = _variance(mixture, self._by_pairs)
        if self.over_people:
            of_people = _variance(mixture, self._by_people) - 2 * _variance(mixture, self._by_impostors)
            variance = max(of_pairs, of_people)
        if self._chosen_anew is not None:  # holds the jumps of thresholds twice
            variance += max(0.0, _variance(mixture, self._chosen_anew) - of_pairs) / 2
        return float(np.sqrt(variance))


def _variance(mixture: np.ndarray, rates: np.ndarray) -> float:
    return float(np.var(mixture @ rates))
