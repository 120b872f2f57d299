"""How a benchmark quotes what it measured in several rounds."""

import statistics
from collections.abc import Iterable


def spread_text(values: Iterable[float], unit: str = "", scale: float = 1.0) -> str:
    """`median unit (quarter to three quarters, n = 7)` of values times `scale`."""
    scaled = [scale * value for value in values]
    quarter, median, three_quarters = statistics.quantiles(scaled, n=4) if len(scaled) > 1 else 3 * scaled
    unit = f" {unit}" if unit else ""
    return f"{_short(median)}{unit} ({_short(quarter)} to {_short(three_quarters)}, n = {len(scaled)})"


def ratio_text(numerators: Iterable[float], denominators: Iterable[float]) -> str:
    """The same of the ratio in each round: both sides of one were measured next to each other."""
    return spread_text(a / b for a, b in zip(numerators, denominators, strict=True))


def _short(value: float) -> str:
    """Three digits, two behind the point of numbers below 1."""
    return f"{value:,.{max(0, 3 - len(str(int(abs(value)))))}f}"
