"""How a benchmark quotes what it measured."""

import statistics
from collections.abc import Sequence


def spread_text(values: Sequence[float], unit: str, scale: float = 1.0) -> str:
    """Median of values times `scale`, and the quarter and three quarters points of so many measurements."""
    quarter, middle, three_quarters = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    low, median, high = (_three_digits(scale * value) for value in (quarter, middle, three_quarters))
    return f"{median} {unit} ({low} to {high}, n = {len(values)})"


def _three_digits(value: float) -> str:
    digits = max(0, 2 - len(f"{abs(value):.0f}") + (abs(value) < 1))
    return f"{value:,.{digits}f}"
