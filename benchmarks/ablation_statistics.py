"""Do the tests of an ablation keep their word? Tables whose truth is known are simulated, and findings are counted.

    python -m benchmarks.ablation_statistics [--tables 2000] [--sets 2000] [--seed 0] [--only seeds|accuracy|tar]

Over seeds: every number of a table is drawn from a normal distribution, five cases and a baseline. Over pairs and
people: two students' scores of a set of 300 genuine and 300 impostor pairs; what a student makes of a person is drawn
anew for every table. "As pairs" is what would be found if people were forgotten. About seven minutes on one core.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import click
import numpy as np
from scipy.stats import norm

from ablate.statistics.difference import LEVEL
from ablate.statistics.holm import holm
from ablate.statistics.paired import OnSamePairs
from ablate.statistics.power import smallest_over_pairs, smallest_over_seeds
from ablate.statistics.resampling import RESAMPLES
from ablate.statistics.seeds import welch

CASES = 5
PAIRS, PEOPLE, FAR = 600, 150, 0.1
# Spread of a score of one person's pictures, and of that what belongs to the person.
SCORE_SPREAD, PERSON_SPREAD = 0.15, 0.1
MIDDLE = 0.3  # mean score of genuine pairs, of impostor pairs 0
# Tables whose students are compared on the same drawn sets at once.
_AT_ONCE = 50


@dataclass(frozen=True)
class Found:
    """Shares of the tables: tests that reject, tables with any rejection after Holm, intervals that hold the truth."""

    rejected: float
    any_after_holm: float
    covered: float


def over_seeds(
    rng: np.random.Generator, tables: int, seeds: int, difference: float = 0.0, spread: float = 1.0, cases: int = CASES
) -> Found:
    """Tables of normal values: the baseline's of standard deviation 1, the cases' of `spread`, all `difference` off."""
    baseline = np.broadcast_to(rng.normal(size=(tables, 1, seeds)), (tables, cases, seeds))
    values = difference + spread * rng.normal(size=(tables, cases, seeds))
    p, low, high = welch(values, baseline)
    return Found(
        rejected=float(np.mean(p < LEVEL)),
        any_after_holm=float(np.mean((holm(p) < LEVEL).any(axis=1))),
        covered=float(np.mean((low <= difference) & (difference <= high))),
    )


def people_of_set(rng: np.random.Generator, repeat: bool) -> tuple[np.ndarray, np.ndarray]:
    """bool (P,) which pairs are genuine, in ten folds; int (P,2) who is on them: PEOPLE people again and again, or
    nobody twice."""
    issame = np.tile(np.repeat([True, False], PAIRS // 20), 10)
    if not repeat:
        people = np.arange(2 * PAIRS).reshape(PAIRS, 2)
    else:
        first = rng.permutation(np.arange(PAIRS) % PEOPLE)
        people = np.stack([first, (first + rng.integers(1, PEOPLE, PAIRS)) % PEOPLE], axis=1)
    people[issame, 1] = people[issame, 0]
    return issame, people


def student_scores(rng: np.random.Generator, issame: np.ndarray, people: np.ndarray, genuine: np.ndarray) -> np.ndarray:
    """Scores (R,P), normal, of R students whose genuine pairs have the means `genuine` (R,). Every student has its own
    opinion of each person, which shifts all of the person's genuine pairs, and another for the impostor pairs."""
    count = people.max() + 1
    own = rng.normal(0, PERSON_SPREAD, (2, len(genuine), count))
    of_genuine = genuine[:, None] + own[0][:, people[:, 0]]
    of_impostors = (own[1][:, people[:, 0]] + own[1][:, people[:, 1]]) / np.sqrt(2)
    noise = rng.normal(0, np.sqrt(SCORE_SPREAD**2 - PERSON_SPREAD**2), of_genuine.shape)
    return np.where(issame, of_genuine, of_impostors) + noise


def true_rate(genuine: float, far: float | None) -> float:
    """Accuracy at the best threshold, or TAR at a FAR, of such scores on endlessly many pairs."""
    if far is None:
        return float(norm.cdf(genuine / 2 / SCORE_SPREAD))
    return float(norm.cdf(genuine / SCORE_SPREAD - norm.isf(far)))


def over_pairs(
    rng: np.random.Generator,
    tables: int,
    far: float | None,
    repeat: bool,
    known: bool = True,
    truth: float = 0.0,
    sets: int = RESAMPLES,
) -> tuple[Found, np.ndarray]:
    """Two students a table whose true rates are `truth` apart. known: whether people are told to the test. sets: drawn
    for it. Also the differences measured (tables,)."""
    issame, people = people_of_set(rng, repeat)
    means = [mean_score(true_rate(MIDDLE, far) + side * truth / 2, far) for side in (-1, 1)]
    compared = []
    for start in range(0, tables, _AT_ONCE):
        here = min(_AT_ONCE, tables - start)
        scores = student_scores(rng, issame, people, np.tile(means, here))
        compared += list(_compared(OnSamePairs(scores, issame, people if known else None, far, sets), here))
    difference, p, low, high = np.array(compared).T
    rejected = float(np.mean(p < LEVEL))
    covered = float(np.mean((low <= truth) & (truth <= high)))
    return Found(rejected, rejected, covered), difference


def _compared(students: OnSamePairs, tables: int) -> Iterator[tuple[float, float, float, float]]:
    for table in range(tables):
        found = students.compare([2 * table + 1], [2 * table])
        assert found is not None
        yield found.difference, found.p, found.low, found.high


def mean_score(rate: float, far: float | None) -> float:
    """Of genuine pairs, for a true rate: the inverse of `true_rate`."""
    return float(SCORE_SPREAD * (2 * norm.ppf(rate) if far is None else norm.ppf(rate) + norm.isf(far)))


@click.command()
@click.option("--tables", default=2000, show_default=True)
@click.option("--sets", default=RESAMPLES, show_default=True, help="Drawn for each test over pairs or people.")
@click.option("--seed", default=0, show_default=True)
@click.option("--only", type=click.Choice(["seeds", "accuracy", "tar"]), help="One part of it.")
def main(tables: int, sets: int, seed: int, only: str | None) -> None:
    print(f"{tables:,} tables; binomial error of 5 %: {100 * np.sqrt(0.05 * 0.95 / tables):.2f} points")
    if only in (None, "seeds"):
        show_seeds(np.random.default_rng(seed), tables)
    for far, rate in ((None, "accuracy"), (FAR, "tar")):
        if only in (None, rate):
            show_pairs(seed, tables, far, sets)


def show_seeds(rng: np.random.Generator, tables: int) -> None:
    print(f"\nover seeds, {CASES} cases     tests that reject     tables, Holm    intervals hold    power, of 80 %")
    for spread in (1.0, 3.0):
        for seeds in (2, 3, 5, 10):
            found = over_seeds(rng, tables, seeds, spread=spread)
            smallest = smallest_over_seeds(spread, seeds, 1, seeds)
            power = over_seeds(rng, tables, seeds, smallest, spread, cases=1).rejected
            shares = (found.rejected, found.any_after_holm, found.covered, power)
            print(f"{seeds:3} seeds, spread x {spread:g} {_percent(*shares)}", flush=True)


def show_pairs(seed: int, tables: int, far: float | None, sets: int) -> None:
    rate = "accuracy" if far is None else f"TAR @ FAR {far:g}"
    print(f"\n{rate:22}   tests that reject    intervals hold    power, of 80 %")
    for repeat, known, name in ((False, True, "pairs"), (True, True, "people"), (True, False, "people, as pairs")):
        rng = np.random.default_rng(seed)
        found, differences = over_pairs(rng, tables, far, repeat, known, sets=sets)
        shares = [found.rejected, found.covered]
        if known:  # as pairs nothing is promised
            smallest = smallest_over_pairs(float(differences.std()), (PEOPLE if repeat else PAIRS) - 1)
            powered, _ = over_pairs(rng, max(1, tables // 4), far, repeat, truth=smallest, sets=sets)
            shares.append(powered.rejected)
        print(f"{name:22} {_percent(*shares)}", flush=True)


def _percent(*shares: float) -> str:
    return "".join(f"{100 * share:18.2f} %" for share in shares)


if __name__ == "__main__":
    main()
