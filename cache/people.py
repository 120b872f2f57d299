"""Which people a subset has: those that a file names, the first ones, or a sample."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import ConfigError, DataError
from common.faces import words

STREAM_SUBSET = 21


def chosen_people(
    names: Sequence[str], file: Path | None = None, first: int | None = None, sample: int | None = None, seed: int = 0
) -> np.ndarray:
    """Labels, rising, of the people that one of `file`, `first` and `sample` chooses; names: of all, by label.

    Raises ConfigError when not exactly one of the three is given, and DataError as `named_people`.
    """
    if sum(choice is not None for choice in (file, first, sample)) != 1:
        raise ConfigError("choose the people by one of --people, --first and --sample")
    if file is not None:
        return named_people(file, names)
    if first is not None:
        return np.arange(min(first, len(names)))
    assert sample is not None
    return sampled_people(len(names), sample, seed)


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
