"""Numbers from random words, by formulas that fix every bit."""


def uniform(word: int) -> float:
    """In 0 <= u < 1, exactly."""
    return word / 2**32


def between(ends: tuple[float, float], word: int) -> float:
    """In ends[0] <= u < ends[1], or equal to both."""
    return ends[0] + (ends[1] - ends[0]) * uniform(word)


def below(number: int, word: int) -> int:
    """An integer in 0..number-1, by fixed-point multiplication."""
    return word * number >> 32
