"""Which people a subset has: those a file names, the first ones, a sample, those of many faces, or all others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import ConfigError, DataError
from common.faces import FaceSource, SubsetSource, words

STREAM_SUBSET = 21


def chosen_people(
    source: FaceSource,
    counts: np.ndarray,
    people: Path | None = None,
    first: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    at_least: int | None = None,
    rest_of: Path | None = None,
) -> np.ndarray:
    """Labels, rising, of the people that one of the choices takes: a file of them, the first ones, a sample by a seed,
    those of so many faces, all who are not in the subset of a cache that was cut out.

    counts: int (people,), faces of each. Raises ConfigError when not exactly one choice is given, and DataError as
    `named_people` and `SubsetSource.open`.
    """
    if sum(choice is not None for choice in (people, first, sample, at_least, rest_of)) != 1:
        raise ConfigError("choose the people by one of --people, --first, --sample, --at-least and --rest-of")
    everybody = np.arange(source.num_classes)
    if people is not None:
        return named_people(people, source.people)
    if first is not None:
        return everybody[:first]
    if at_least is not None:
        return everybody[counts >= at_least]
    if rest_of is not None:
        return np.setdiff1d(everybody, source.labels[SubsetSource.open(rest_of, source).samples])
    assert sample is not None
    return sampled_people(source.num_classes, sample, seed)


def named_people(file: Path, people: Sequence[str]) -> np.ndarray:
    """Labels of the people a file lists, one name or number a line. Raises DataError naming a line that is neither."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None
    labels = {name: label for label, name in enumerate(people)}
    chosen = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            continue
        label = labels.get(name, int(name) if name.isdecimal() and name.isascii() else -1)
        if not 0 <= label < len(people):
            raise DataError(
                f"{file}:{number}: {name!r} is nobody's name, nor a number in 0..{len(people) - 1}: "
                f"names look like {people[0]!r}"
            )
        chosen.append(label)
    return np.unique(np.array(chosen, np.int64))


def sampled_people(people: int, size: int, seed: int) -> np.ndarray:
    """`size` labels of `people`, rising: a pure function of its arguments, and part of any larger sample."""
    word = words(seed, STREAM_SUBSET, np.arange(people), 0).astype(np.uint64)
    return np.sort(np.argsort(word[:, 0] << np.uint64(32) | word[:, 1], kind="stable")[:size])
