"""Quantiles and tails of the few distributions used here.

The same numbers as :mod:`scipy.stats`, whose import alone takes longer than all statistics of an experiment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special


def t_quantile(p: float, df: float) -> float:
    """Quantile of Student's t.

    Examples
    --------
    >>> round(t_quantile(0.975, 2), 3)
    4.303
    """
    return float(special.stdtrit(df, p))


def t_two_sided(t: float, df: float) -> float:
    """Chance of a value further from 0 than ``t``, Student's t.

    Examples
    --------
    >>> round(t_two_sided(4.303, 2), 4)
    0.05
    """
    return float(2.0 * special.stdtr(df, -abs(t)))


def normal_quantile(p: npt.ArrayLike) -> Any:
    """Quantile of the standard normal."""
    return special.ndtri(np.asarray(p, np.float64))


def normal_below(x: npt.ArrayLike) -> Any:
    """Chance of a value below ``x``, standard normal."""
    return special.ndtr(np.asarray(x, np.float64))


def chi2_quantile(p: npt.ArrayLike, df: float) -> Any:
    """Quantile of chi-square."""
    return 2.0 * special.gammaincinv(df / 2.0, np.asarray(p, np.float64))


def gamma_quantile(p: float, shape: float) -> float:
    """Quantile of the gamma distribution of scale 1.

    Examples
    --------
    >>> round(gamma_quantile(0.975, 1.0), 4)  # -log(0.025)
    3.6889
    """
    return float(special.gammaincinv(shape, p))


def beta_quantile(p: float, a: float, b: float) -> float:
    """Quantile of the beta distribution."""
    return float(special.betaincinv(a, b, p))
