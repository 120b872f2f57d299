"""What could have been found: the power of the tests, and the smallest difference with a promised power."""

from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm, t

from ablate.statistics.difference import LEVEL, POWER

# Sample variances that the power is averaged over, on either side; 100 x 100 hold it to 0.002, see the test.
_VARIANCES = 100


def welch_power(difference: float, spread_a: float, n_a: int, spread_b: float, n_b: int, level: float = LEVEL) -> float:
    """Chance that Welch's two-sided test at `level` finds a true `difference` between normal values whose standard
    deviations are spread_a, spread_b (not both 0), from n_a and n_b >= 2 of them.

    Exact but for the grid: given the two sample variances, the mean difference is normal and independent of them, so
    its chance beyond the critical value is averaged over quantiles of their chi-squared distributions.
    """
    return _power(difference, *_critical(spread_a, n_a, spread_b, n_b, level))


def smallest_over_seeds(spread_a: float, n_a: int, spread_b: float, n_b: int, level: float = LEVEL) -> float:
    """The smallest true difference that Welch's test at `level` finds with a chance of POWER; otherwise as above."""
    critical, error = _critical(spread_a, n_a, spread_b, n_b, level)
    enough = float(critical.max()) + 10 * error
    return float(brentq(lambda difference: _power(difference, critical, error) - POWER, 0.0, enough, rtol=1e-6))


def smallest_over_pairs(error: float, freedom: float, level: float = LEVEL) -> float:
    """The same of a test that sets a difference against its standard error, with so many degrees of freedom.

    Source: Bloom, "Minimum detectable effects", 1995.
    """
    return float((t.isf(level / 2, freedom) + t.isf(1 - POWER, freedom)) * error)


def _power(difference: float, critical: np.ndarray, error: float) -> float:
    return float(np.mean(norm.sf((critical - difference) / error) + norm.cdf((-critical - difference) / error)))


def _critical(spread_a: float, n_a: int, spread_b: float, n_b: int, level: float) -> tuple[np.ndarray, float]:
    """Mean differences found just so (V, V), at the quantiles of both sample variances; the true standard error."""
    part_a = spread_a**2 / n_a * _variance_quantiles(n_a)[:, None]
    part_b = spread_b**2 / n_b * _variance_quantiles(n_b)[None, :]
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
    critical = t.isf(level / 2, freedom) * np.sqrt(part_a + part_b)
    return critical, float(np.hypot(spread_a / n_a**0.5, spread_b / n_b**0.5))


@cache
def _variance_quantiles(n: int) -> np.ndarray:
    """Sample variance over true variance, of n normal values, at the middles of equally likely classes."""
    quantiles: np.ndarray = chi2.ppf((np.arange(_VARIANCES) + 0.5) / _VARIANCES, n - 1) / (n - 1)
    return quantiles
