"""Who is on the pictures of a pair set, as far as the pairs tell: the file itself names nobody."""

import hashlib
from collections.abc import Sequence

import numpy as np


def people_of_pairs(pictures: Sequence[bytes], issame: np.ndarray) -> np.ndarray:
    """int64 (P,2): a number for the person on either side of each pair, from 0 in order of appearance.

    pictures: (2P,), pair i at 2i and 2i + 1. Two sides are one person when a genuine pair or equal bytes join them,
    through any number of others. Somebody shown in pictures that nothing joins counts as two people, so the numbers
    are a lower bound on who repeats.
    """
    leader = list(range(len(pictures)))

    def find(side: int) -> int:
        while leader[side] != side:
            leader[side] = leader[leader[side]]
            side = leader[side]
        return side

    first_of: dict[bytes, int] = {}
    for side, picture in enumerate(pictures):
        leader[find(side)] = find(first_of.setdefault(hashlib.sha256(picture).digest(), side))
    for pair in np.flatnonzero(issame).tolist():
        leader[find(2 * pair + 1)] = find(2 * pair)
    numbers: dict[int, int] = {}
    people = [numbers.setdefault(find(side), len(numbers)) for side in range(len(pictures))]
    return np.array(people, np.int64).reshape(-1, 2)
