"""Exact and t intervals of one rate, share or mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cicimage.arrays import Float64Array
from cicimage.statistics.quantiles import (
    beta_quantile,
    gamma_quantile,
    normal_below,
    normal_quantile,
    t_quantile,
    t_two_sided,
)


@dataclass(frozen=True)
class Interval:
    """An estimate with its limits and how they were made."""

    estimate: float
    low: float
    high: float
    method: str


def poisson_interval(events: float, exposure: float, level: float = 0.95, dispersion: float = 1.0) -> Interval:
    """Exact interval of a Poisson rate.

    Parameters
    ----------
    events : float
        Events counted.
    exposure : float
        Person-time (or any denominator), > 0 for an estimate.
    level : float
        Coverage.
    dispersion : float
        Variance over mean of the counts, >= 1; above 1 the interval is that of a scaled Poisson count.

    Returns
    -------
    Interval
        NaN where there is no exposure; lower limit 0 where there are no events.

    Notes
    -----
    Garwood F (1936), Biometrika 28:437: limits from the chi-square (gamma) distribution.

    Examples
    --------
    >>> round(poisson_interval(0, 1.0).high, 4)  # -log(0.025)
    3.6889
    """
    name = "exact Poisson" if dispersion <= 1.0 else f"Poisson scaled by dispersion {dispersion:.2f}"
    if not exposure > 0:
        return Interval(np.nan, np.nan, np.nan, name)
    alpha = 1.0 - level
    k = events / dispersion
    low = 0.0 if events <= 0 else gamma_quantile(alpha / 2, k)
    high = gamma_quantile(1 - alpha / 2, k + 1.0)
    return Interval(events / exposure, low * dispersion / exposure, high * dispersion / exposure, name)


def binomial_interval(successes: float, trials: float, level: float = 0.95) -> Interval:
    """Exact interval of a share.

    Notes
    -----
    Clopper CJ, Pearson ES (1934), Biometrika 26:404.

    Examples
    --------
    >>> round(binomial_interval(0, 10).high, 4)  # 1 - 0.025 ** (1 / 10)
    0.3085
    """
    if not trials > 0:
        return Interval(np.nan, np.nan, np.nan, "exact binomial")
    alpha, misses = 1.0 - level, trials - successes
    low = 0.0 if successes <= 0 else beta_quantile(alpha / 2, successes, misses + 1)
    high = 1.0 if misses <= 0 else beta_quantile(1 - alpha / 2, successes + 1, misses)
    return Interval(successes / trials, low, high, "exact binomial")


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float, float, float]:
    """Mean, limits and two-sided p (against 0) of independent values by Student's t; NaN limits below two values.

    Examples
    --------
    >>> mean, low, high, p = t_interval([1.0, 2.0, 3.0])
    >>> round(low, 3), round(high, 3), round(p, 3)
    (-0.484, 4.484, 0.074)
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n == 0:
        return np.nan, np.nan, np.nan, np.nan
    mean = float(x.mean())
    if n < 2:
        return mean, np.nan, np.nan, np.nan
    se = float(x.std(ddof=1) / np.sqrt(n))
    half = t_quantile(0.5 + level / 2, n - 1) * se
    if se == 0:
        return mean, mean, mean, np.nan
    return mean, mean - half, mean + half, t_two_sided(mean / se, n - 1)


def too_alike(logs: npt.ArrayLike, counting_variance: npt.ArrayLike) -> bool:
    """Whether logarithms of small counts agree by accident: closer than a tenth of their counting error.

    Parameters
    ----------
    logs : (n,) array_like
        Log ratio of each unit.
    counting_variance : (n,) array_like
        Variance of each from counting alone, the sum of 1 / events.

    Returns
    -------
    bool
        True where a t interval would be narrow for no reason: 1 against 2 events in each of three donors has no spread
        at all. One experiment in a hundred of three donors is caught so when counting is all there is.

    Examples
    --------
    >>> too_alike([-0.69, -0.69, -0.69], [1.5, 1.5, 1.5])
    True
    """
    return bool(
        np.var(np.asarray(logs, np.float64), ddof=1) < 0.01 * float(np.asarray(counting_variance, np.float64).mean())
    )


def log_t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Geometric mean of positive values over independent units, limits by t on their logarithms."""
    x = np.asarray(values, dtype=np.float64)
    mean, low, high, _ = t_interval(np.log(x), level)
    return Interval(float(np.exp(mean)), float(np.exp(low)), float(np.exp(high)), f"t on log of {len(x)} units")


def mixed_limit(ratio: Float64Array, limit: Float64Array, alpha: float, side: float) -> float:
    """Where the mean over draws of the confidence beyond a limit falls to ``alpha``.

    Confidence beyond x falls off normally in log x from the ratio so that ``alpha`` of it lies beyond the draw's own
    limit; exponentially in x where the ratio is 0, as it does for a count of zero. Equal draws give their own limit.
    """
    if not (np.isfinite(limit).all() and np.isfinite(ratio).all()) or (side < 0 and (limit <= 0).any()):
        return 0.0 if side < 0 else np.inf
    zero = ratio <= 0
    centre = np.log(np.where(zero, limit, ratio))
    reach = np.maximum(side * (np.log(limit) - centre), 1e-9)
    z = float(normal_quantile(1 - alpha))

    def beyond(log_x: float) -> float:
        normal = normal_below(-z * side * (log_x - centre) / reach)
        return float(np.where(zero, alpha ** np.exp(log_x - np.log(limit)), normal).mean())

    near, far = float(np.log(limit).min()) - 1.0, float(np.log(limit).max()) + 1.0
    for _ in range(60):
        middle = 0.5 * (near + far)
        outside = beyond(middle) < alpha
        near, far = (near, middle) if outside == (side > 0) else (middle, far)
    return float(np.exp(0.5 * (near + far)))
